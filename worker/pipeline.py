"""Product events to the index: plan, fetch, decode, embed, write. Knows nothing of the queue."""

import logging
import time
from collections import defaultdict
from collections.abc import Sequence
from typing import Self

import numpy as np

from config.settings import Settings
from recommender import metrics
from recommender.encoders.batcher import DynamicBatcher
from recommender.errors import ImageError, RaceLost, TransientError
from recommender.images.source import ImageSource
from recommender.index.protocol import IndexedImage, ProductIndex, Vectors, Write
from worker.embedding import Embedded, ImageEmbedder, Outcomes, Seconds
from worker.plan import Event, Group, Plan, group_by_product, make_plan, reads_images
from worker.report import Failure, Report

log = logging.getLogger(__name__)
ROUNDS = 8
"""How often the loser of a race reads and merges again before its events are queued again."""
STAGES = ("plan", "fetch", "decode", "embed", "write")


class Pipeline:
    """Applies batches of events. Thread-safe: every message in hand calls it from its own thread."""

    def __init__(
        self, index: ProductIndex, batcher: DynamicBatcher, source: ImageSource, settings: Settings
    ) -> None:
        self._index = index
        self._images = ImageEmbedder(source, batcher, settings.images)
        self._dimension = batcher.encoder.spec.dimension

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads; what is in hand is finished."""
        self._images.close()

    def apply(self, events: Sequence[Event]) -> Report:
        """Bring the index up to date with these events, in their order for each product.

        Blocks until all is written.
        """
        if not events:
            return Report()
        started = time.perf_counter()
        batch = _Batch()
        waiting = group_by_product(events)
        for _ in range(ROUNDS):
            if not waiting:
                break
            waiting = self._round(waiting, batch)
        for group in waiting:
            error = RaceLost(f"{group.id}: other writers won {ROUNDS} times")
            batch.report.again(group.events, error)
        _tell(events, batch, time.perf_counter() - started)
        return batch.report

    def _round(self, groups: list[Group], batch: "_Batch") -> list[Group]:
        """Take each group as far as it goes; return those that lost their race."""
        try:
            plans = self._plan(groups, batch)
        except TransientError as error:
            for group in groups:
                batch.report.again(group.events, error)
            return []
        self._images.embed((key for plan in plans for key in plan.images), batch.outcomes, batch.took_s)
        ready: list[Plan] = []
        for plan in plans:
            unavailable = next(
                (found for key in plan.images if isinstance(found := batch.outcomes[key], TransientError)),
                None,
            )
            if unavailable is not None:
                batch.report.again(plan.group.events, unavailable)
            elif plan.writes:
                ready.append(plan)
            else:
                batch.settle(plan)
        return self._write(ready, batch)

    def _plan(self, groups: list[Group], batch: "_Batch") -> list[Plan]:
        started = time.perf_counter()
        images = any(reads_images(group.events) for group in groups)
        stored = self._index.read([group.id for group in groups], vectors=images)
        plans = [make_plan(group, stored.get(group.id)) for group in groups]
        batch.took_s["plan"] += time.perf_counter() - started
        return plans

    def _write(self, plans: list[Plan], batch: "_Batch") -> list[Group]:
        if not plans:
            return []
        started = time.perf_counter()
        try:
            lost = self._index.write([self._as_write(plan, batch.outcomes) for plan in plans])
        except TransientError as error:
            for plan in plans:
                batch.report.again(plan.group.events, error)
            return []
        finally:
            batch.took_s["write"] += time.perf_counter() - started
        for plan in plans:
            if plan.group.id not in lost:
                batch.settle(plan)
        metrics.RACES_LOST.inc(len(lost))
        return [plan.group for plan in plans if plan.group.id in lost]

    def _as_write(self, plan: Plan, outcomes: Outcomes) -> Write:
        rev = plan.stored.rev if plan.stored else None
        if plan.images:
            images, vectors = self._rows(plan, outcomes)
            return Write(plan.group.id, rev, plan.state, images, vectors)
        if plan.stored is not None and not plan.state.deleted:
            return Write(plan.group.id, rev, plan.state, plan.stored.images, None)
        return Write(plan.group.id, rev, plan.state, (), self._stacked([]))

    def _rows(self, plan: Plan, outcomes: Outcomes) -> tuple[tuple[IndexedImage, ...], Vectors | None]:
        """The images as they will be, and their rows; None where the stored rows stay as they are."""
        images: list[IndexedImage] = []
        rows: list[Vectors] = []
        kept: list[IndexedImage] = []
        for key in plan.images:
            outcome, known = outcomes[key], plan.known.get(key.uri)
            if isinstance(outcome, Embedded):
                images.append(IndexedImage(key.uri, outcome.etag, len(rows)))
                rows.append(outcome.row)
                continue
            error = str(outcome) if isinstance(outcome, ImageError) else None
            # A repair takes nothing away: what can't be embedded again stays as it was.
            if known is not None and known.row is not None and (error is None or plan.forced):
                assert plan.stored is not None
                assert plan.stored.vectors is not None
                kept.append(IndexedImage(key.uri, known.etag, known.row, error))
                images.append(IndexedImage(key.uri, known.etag, len(rows), error))
                rows.append(plan.stored.vectors[known.row])
            else:
                images.append(IndexedImage(key.uri, error=error))
        stored_rows = sum(image.row is not None for image in plan.known.values())
        if plan.stored is not None and len(kept) == len(rows) == stored_rows:
            by_uri = {image.uri: image for image in kept}
            return tuple(by_uri.get(image.uri, image) for image in images), None
        return tuple(images), self._stacked(rows)

    def _stacked(self, rows: list[Vectors]) -> Vectors:
        return np.stack(rows) if rows else np.empty((0, self._dimension), np.float32)


class _Batch:
    """What one call of `apply` gathers, over all its rounds."""

    def __init__(self) -> None:
        self.report = Report()
        self.outcomes: Outcomes = {}
        self.took_s: Seconds = defaultdict(float)

    def settle(self, plan: Plan) -> None:
        """Report a group that needs nothing more."""
        self.report.applied += plan.applied
        self.report.stale += plan.stale
        self.report.unchanged += plan.repeated
        for key in plan.images:
            outcome = self.outcomes[key]
            if isinstance(outcome, ImageError):
                self.report.failed.append(Failure(plan.names_images, outcome, key.uri))


def _tell(events: Sequence[Event], batch: _Batch, seconds: float) -> None:
    report = batch.report
    counts = {
        "applied": len(report.applied),
        "stale": len(report.stale),
        "unchanged": len(report.unchanged),
        "retry": len(report.retry),
    }
    for outcome, count in counts.items():
        metrics.EVENTS.labels(outcome).inc(count)
    for stage, took in batch.took_s.items():
        metrics.STAGE_SECONDS.labels(stage).observe(took)
    embedded = sum(isinstance(outcome, Embedded) for outcome in batch.outcomes.values())
    metrics.IMAGES_EMBEDDED.inc(embedded)
    metrics.IMAGES_FAILED.inc(sum(isinstance(outcome, ImageError) for outcome in batch.outcomes.values()))
    log.info(
        "batch_applied",
        extra={
            "events": len(events),
            **counts,
            "images": len(batch.outcomes),
            "embedded": embedded,
            "failed_images": len(report.failed),
            **{f"{stage}_ms": round(batch.took_s[stage] * 1000, 1) for stage in STAGES},
            "total_ms": round(seconds * 1000, 1),
            "trace_ids": sorted({event.trace_id for event in events if event.trace_id})[:16],
        },
    )
