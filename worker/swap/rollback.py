"""`catalog.rollback` and `catalog.drop_old`: back to the collection before, and the end of a swap."""

from collections.abc import Generator

from recommender.errors import InvalidEvent, JobStopped
from recommender.events import DropOld, Rollback, parse_catalog_job
from worker.delivery import Delivery
from worker.jobs.book import job_scope
from worker.jobs.steps import Job, run_job
from worker.runtime import Runtime
from worker.swap.dropping import LOOK_S, NAMED, DropPosition, drop
from worker.swap.others import end_abandoned, is_running, waited_for


class RollbackPosition(DropPosition):
    """A place in a rollback: `swap` and `old` are those that it began with."""

    swap: str = ""
    old: str = ""
    flipped: bool = False
    rolled_back: bool = False


Parts = Generator[RollbackPosition, None, None]


def rollback_job(delivery: Delivery) -> None:
    """Flip the alias back; both collections have had every event, so that nothing is lost.

    Raises:
        InvalidEvent: the arguments are wrong.
        TransientError: the index or the broker failed; this step may be tried again.
    """
    wanted = parse_catalog_job(delivery.type, delivery.kwargs) if not delivery.args else None
    if not isinstance(wanted, Rollback):
        raise InvalidEvent("", "expected keyword arguments: drop_old=BOOLEAN")

    def work(place: RollbackPosition, job: Job) -> Parts:
        at = place
        if not place.rolled_back:
            for at in _roll_back(delivery.runtime, job, place, drops=wanted.drop_old):
                yield at
        if wanted.drop_old:
            yield from drop(delivery.runtime, job, at)

    run_job(delivery, job_scope(wanted), RollbackPosition(), work)


def drop_old_job(delivery: Delivery) -> None:
    """Drop what doesn't serve.

    Raises:
        InvalidEvent: the arguments are wrong.
        TransientError: the index or the broker failed; this step may be tried again.
    """
    wanted = parse_catalog_job(delivery.type, delivery.kwargs) if not delivery.args else None
    if not isinstance(wanted, DropOld):
        raise InvalidEvent("", "expected no arguments")

    def work(place: RollbackPosition, job: Job) -> Parts:
        if not place.drops:
            _refuse_running(delivery.runtime)
        yield from drop(delivery.runtime, job, place)

    run_job(delivery, job_scope(wanted), RollbackPosition(), work)


def _roll_back(runtime: Runtime, job: Job, place: RollbackPosition, *, drops: bool) -> Parts:
    job.phase("rolling back")
    if not place.swap:
        _refuse_running(runtime)
        swap = runtime.swaps.read()
        if swap is None and drops:  # a swap that was refused, or cancelled: the old collection serves
            yield place.to(rolled_back=True)
            return
        if swap is None:
            raise JobStopped(
                "there is nothing to roll back to: no swap has a collection beside the serving one"
            )
        place = place.to(swap=swap.id, old=swap.old)
        yield place
    if not place.flipped:
        runtime.resources.engine.promote(place.old)
        place = place.to(flipped=True)
        yield place
    while waiting := waited_for(runtime, lambda one: one.serving != place.old):
        job.report["waiting_for"] = waiting[:NAMED]
        job.wait(LOOK_S)
        yield place
    job.report.pop("waiting_for", None)
    swap = runtime.swaps.read()
    if swap is not None and swap.id == place.swap:
        runtime.swaps.advance(swap, "rolled-back")
    job.report["serving"] = place.old
    yield place.to(rolled_back=True)


def _refuse_running(runtime: Runtime) -> None:
    """Refuse to take away what a running swap fills."""
    end_abandoned(runtime)
    swap = runtime.swaps.read()
    if swap is not None and is_running(runtime, swap):
        raise JobStopped(f"a swap is running: cancel it first, by `lookalike jobs cancel {swap.id}`")
