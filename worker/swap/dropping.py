"""Dropping the collections that don't serve, which ends a swap: only once no process uses them any more."""

import logging
from collections.abc import Generator
from typing import Any, Self, TypeVar

from recommender.errors import JobStopped
from worker.jobs.steps import Job, Position
from worker.runtime import Runtime
from worker.swap.others import waited_for

log = logging.getLogger(__name__)
LOOK_S = 1.0
NAMED = 16


class DropPosition(Position):
    """A place in a job that may drop collections at its end."""

    drops: tuple[str, ...] = ()
    """What is to be dropped, once that is known."""

    def to(self, **values: Any) -> Self:
        """Another place in the same phase."""
        return self.model_copy(update=values)


D = TypeVar("D", bound=DropPosition)


def drop(runtime: Runtime, job: Job, place: D) -> Generator[D, None, None]:
    """End the swap, wait until nobody uses what doesn't serve, and drop it.

    Raises:
        JobStopped: there is nothing to drop.
    """
    engine, swaps = runtime.resources.engine, runtime.swaps
    job.phase("dropping")
    if not place.drops:
        serving = engine.serving()
        place = place.to(drops=tuple(named for named in engine.fingerprints() if named != serving))
        if not place.drops:
            raise JobStopped(f"there is no collection but the one that serves ({serving})")
        yield place
    swap = swaps.read()
    if swap is not None and set(swap.fingerprints) & set(place.drops):
        swaps.end(swap.id)
    while waiting := waited_for(runtime, lambda one: bool(set(one.pairs) & set(place.drops))):
        job.report["waiting_for"] = waiting[:NAMED]
        job.wait(LOOK_S)
        yield place
    job.report.pop("waiting_for", None)
    serving, there = engine.serving(), engine.fingerprints()
    for named in place.drops:
        if named in there and named != serving:
            engine.drop(named)
            log.info("collection_dropped", extra={"collection": named})
    job.report["dropped"] = list(place.drops)
