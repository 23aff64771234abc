"""Product events to the index: plan, fetch, decode, embed, write. Knows nothing of the queue.

A batch of events is worked on in slices: while one is written, the images of the next are fetched, decoded
and embedded, each going on to its next stage as soon as it is through the one before.
"""

import time
from collections import deque
from collections.abc import Callable, Sequence
from typing import Self

from config.settings import Settings
from recommender import metrics
from recommender.encoders.batcher import DynamicBatcher
from recommender.errors import RaceLost, TransientError
from recommender.images.source import ImageSource
from recommender.index.protocol import ProductIndex
from worker.batch import Batch
from worker.breaker import Breakers
from worker.embedding import ImageEmbedder, ImageStage
from worker.flags import DuplicateFlags
from worker.plan import Event, Group, Plan, group_by_product, make_plan, slices
from worker.report import Report
from worker.turns import Turns
from worker.writes import write_of

ROUNDS = 8
"""How often the loser of a race reads and merges again before its events are queued again."""
SLICE_BATCHES = 2
"""Device batches that a slice's images fill: two are in flight while the slice before is written."""
AHEAD = 1
"""Slices whose images are on their way while another is waited for and written."""
WAIT_S = 1.0


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
        self._flags = DuplicateFlags(index, settings)
        self._dimension = batcher.encoder.spec.dimension
        self._slice_images = SLICE_BATCHES * settings.encoder.max_batch_size
        self._turns = Turns()

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
        must_end: Callable[[], bool] = lambda: False,
        progress: Callable[[], None] = lambda: None,
    ) -> Report:
        """Bring the index up to date with these events, in their order for each product.

        Works slice by slice; what is left when `may_go_on` says no is the report's `rest`, and so is what no
        image was looked at for when `must_end` says yes. Blocks until all else is written, and while another
        call has one of the products in hand.

        Args:
            events: of any products.
            images: another image stage than this process's own threads and batches.
            may_go_on: asked between slices.
            must_end: asked while images are waited for.
            progress: called whenever something was done, by any thread.

        Raises:
            EncoderLost: this process can't embed any more.
            TransientError: the image stage failed as a whole.
        """
        batch = Batch(images or self._images, may_go_on, must_end, progress)
        waiting = self._pass(group_by_product(events), batch)
        while waiting:
            self._turns.wait(waiting, WAIT_S)
            batch.progress()  # whoever has the product is watched, too
            waiting = self._pass(waiting, batch)
        batch.count()
        return batch.report

    def _pass(self, groups: Sequence[Group], batch: Batch) -> list[Group]:
        """Apply what no other call has in hand; returns the others."""
        ahead: deque[tuple[list[Group], list[Plan]]] = deque()
        others: list[Group] = []
        try:
            for cut in slices(groups, self._slice_images):
                if not batch.goes_on():
                    batch.report.rest += [event for group in cut for event in group.events]
                    continue
                mine, taken = self._turns.take(cut)
                others += taken
                if not mine:
                    continue
                ahead.append((mine, []))
                ahead[-1][1].extend(self._begin(mine, batch))
                if len(ahead) > AHEAD:
                    self._finish(ahead[0], batch)
                    self._turns.give_back(ahead.popleft()[0])
            while ahead:
                self._finish(ahead[0], batch)
                self._turns.give_back(ahead.popleft()[0])
        finally:
            for mine, _ in ahead:
                self._turns.give_back(mine)
        return others

    def _begin(self, groups: list[Group], batch: Batch) -> list[Plan]:
        """Plan, and send the images on their way."""
        try:
            plans = self._plan(groups, batch)
        except TransientError as error:
            self._breakers.failed(error)
            for group in groups:
                batch.report.again(group.events, error)
            return []
        for plan in plans:
            batch.look(plan.images)
        return plans

    def _finish(self, slice_: tuple[list[Group], list[Plan]], batch: Batch) -> None:
        """Wait for the images and write; those that lose their race are read and merged again."""
        lost = self._settle(slice_[1], batch)
        for _ in range(ROUNDS - 1):
            if not lost:
                return
            lost = self._settle(self._begin(lost, batch), batch)
        for group in lost:
            error = RaceLost(f"{group.id}: other writers won {ROUNDS} times")
            batch.report.again(group.events, error)

    def _settle(self, plans: list[Plan], batch: Batch) -> list[Group]:
        """Take each plan as far as it goes; return the groups that lost their race."""
        ready: list[Plan] = []
        batch.wait(key for plan in plans for key in plan.images)
        for plan in plans:
            outcomes = [batch.outcome(key) for key in plan.images]
            unavailable = next((found for found in outcomes if isinstance(found, TransientError)), None)
            if any(found is None for found in outcomes):
                batch.report.rest += plan.group.events
            elif unavailable is not None:
                batch.report.again(plan.group.events, unavailable)
            elif plan.writes:
                ready.append(plan)
            else:
                batch.settle(plan)
        return self._write(ready, batch)

    def _plan(self, groups: list[Group], batch: Batch) -> list[Plan]:
        started = time.perf_counter()
        stored = self._index.read([group.id for group in groups])
        plans = [make_plan(group, stored.get(group.id)) for group in groups]
        # Most products are new, or have nothing to look at: rows are read for the others alone.
        if kept := [plan.group.id for plan in plans if plan.may_keep_rows]:
            stored = self._index.read(kept, vectors=True)
            plans = [
                make_plan(plan.group, stored.get(plan.group.id)) if plan.may_keep_rows else plan
                for plan in plans
            ]
        self._breakers.index.succeeded()
        batch.report.took_s["plan"] += time.perf_counter() - started
        return plans

    def _write(self, plans: list[Plan], batch: Batch) -> list[Group]:
        if not plans:
            return []
        started = time.perf_counter()
        try:
            lost = self._flags.write(
                plans, [write_of(plan, batch.outcomes, self._dimension) for plan in plans]
            )
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
