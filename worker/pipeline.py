"""Product events to the index: plan, fetch, decode, embed, write. Knows nothing of the queue."""

import time
from collections.abc import Callable, Sequence
from typing import Self

import numpy as np

from config.settings import Settings
from recommender import metrics
from recommender.encoders.batcher import DynamicBatcher
from recommender.errors import ImageError, RaceLost, TransientError
from recommender.images.source import ImageSource
from recommender.index.protocol import IndexedImage, ProductIndex, Vectors, Write
from worker.breaker import Breakers
from worker.embedding import Embedded, ImageEmbedder, ImageStage, Outcomes
from worker.plan import Event, Group, Plan, group_by_product, make_plan, reads_images, slices
from worker.report import Failure, Report

ROUNDS = 8
"""How often the loser of a race reads and merges again before its events are queued again."""
SLICE_BATCHES = 2
"""Device batches that a slice's images fill: it bounds the pixels in hand, and what a shutdown waits for."""


class Pipeline:
    """Applies batches of events. Thread-safe: every message in hand calls it from its own thread."""

    def __init__(
        self,
        index: ProductIndex,
        batcher: DynamicBatcher,
        source: ImageSource,
        settings: Settings,
        breakers: Breakers | None = None,
    ) -> None:
        self._index = index
        self._breakers = breakers or Breakers()
        self._images = ImageEmbedder(source, batcher, settings.images, self._breakers)
        self._dimension = batcher.encoder.spec.dimension
        self._slice_images = SLICE_BATCHES * settings.encoder.max_batch_size

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """End the threads; what is in hand is finished."""
        self._images.close()

    def apply(
        self,
        events: Sequence[Event],
        *,
        images: ImageStage | None = None,
        may_go_on: Callable[[], bool] = lambda: True,
        progress: Callable[[], None] = lambda: None,
    ) -> Report:
        """Bring the index up to date with these events, in their order for each product.

        Works slice by slice, each written before the next is begun; what is left when `may_go_on` says no is
        the report's `rest`. Blocks until the slices are written.

        Args:
            events: of any products.
            images: another image stage than this process's own threads and batches.
            may_go_on: asked between slices.
            progress: called whenever something was done.

        Raises:
            EncoderLost: this process can't embed any more.
            TransientError: the image stage failed as a whole.
        """
        batch = _Batch(images or self._images, progress)
        for begun, groups in enumerate(slices(group_by_product(events), self._slice_images)):
            if batch.report.rest or (begun and not may_go_on()):
                batch.report.rest += [event for group in groups for event in group.events]
                continue
            waiting = groups
            for _ in range(ROUNDS):
                if not waiting:
                    break
                waiting = self._round(waiting, batch)
            for group in waiting:
                error = RaceLost(f"{group.id}: other writers won {ROUNDS} times")
                batch.report.again(group.events, error)
        batch.count()
        return batch.report

    def _round(self, groups: list[Group], batch: "_Batch") -> list[Group]:
        """Take each group as far as it goes; return those that lost their race."""
        try:
            plans = self._plan(groups, batch)
        except TransientError as error:
            self._breakers.failed(error)
            for group in groups:
                batch.report.again(group.events, error)
            return []
        keys = [key for plan in plans for key in plan.images]
        batch.images.embed(keys, batch.outcomes, batch.report.took_s, batch.progress)
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
        self._breakers.index.succeeded()
        plans = [make_plan(group, stored.get(group.id)) for group in groups]
        batch.report.took_s["plan"] += time.perf_counter() - started
        return plans

    def _write(self, plans: list[Plan], batch: "_Batch") -> list[Group]:
        if not plans:
            return []
        started = time.perf_counter()
        try:
            lost = self._index.write([self._as_write(plan, batch.outcomes) for plan in plans])
        except TransientError as error:
            self._breakers.failed(error)
            for plan in plans:
                batch.report.again(plan.group.events, error)
            return []
        finally:
            batch.report.took_s["write"] += time.perf_counter() - started
        self._breakers.index.succeeded()
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
    """What one call of `apply` gathers, over all its slices and rounds."""

    def __init__(self, images: ImageStage, progress: Callable[[], None]) -> None:
        self.images = images
        self.progress = progress
        self.report = Report()
        self.outcomes: Outcomes = {}

    def settle(self, plan: Plan) -> None:
        """Report a group that needs nothing more."""
        self.report.applied += plan.applied
        self.report.stale += plan.stale
        self.report.unchanged += plan.repeated
        for key in plan.images:
            outcome = self.outcomes[key]
            if isinstance(outcome, ImageError):
                self.report.failed.append(Failure(plan.names_images, outcome, key.uri))

    def count(self) -> None:
        """Tell the metrics."""
        report = self.report
        report.images = len(self.outcomes)
        report.embedded = sum(isinstance(outcome, Embedded) for outcome in self.outcomes.values())
        for outcome in ("applied", "stale", "unchanged", "retry"):
            metrics.EVENTS.labels(outcome).inc(len(getattr(report, outcome)))
        for stage, took in report.took_s.items():
            metrics.STAGE_SECONDS.labels(stage).observe(took)
        metrics.IMAGES_EMBEDDED.inc(report.embedded)
        metrics.IMAGES_FAILED.inc(sum(isinstance(found, ImageError) for found in self.outcomes.values()))
