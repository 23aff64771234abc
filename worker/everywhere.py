"""Events go to the index that serves and, while a model swap runs, to the other one too."""

from collections.abc import Sequence

from recommender.serving import Pair
from worker.delivery import Delivery
from worker.plan import Event
from worker.report import Report, both


def apply_everywhere(delivery: Delivery, events: Sequence[Event]) -> Report:
    """Apply events to every open pair, the serving one first, and to each that is opened meanwhile.

    Events that a pair did not settle go to no further one: the whole of it is repeated when they come again.

    Raises:
        PairMissing: a running swap has a pair that is not open in this process.
        EncoderLost: this process can't embed any more.
        TransientError: whether a swap runs can't be found out, or the image stage failed as a whole.
    """
    report: Report | None = None
    with delivery.runtime.resources.serving.lease_all() as opened:
        for pairs in opened:
            for pair in pairs:
                report = _next(delivery, pair, events, report)
    assert report is not None, "one pair is always open"
    return report


def _next(delivery: Delivery, pair: Pair, events: Sequence[Event], so_far: Report | None) -> Report:
    if so_far is None:
        return apply_to(delivery, pair, events)
    left = so_far.left()
    settled = [event for event in events if id(event) not in left]
    return both(so_far, apply_to(delivery, pair, settled)) if settled else so_far


def apply_to(delivery: Delivery, pair: Pair, events: Sequence[Event]) -> Report:
    """Apply events to one pair, which the caller has leased."""
    runtime = delivery.runtime
    return runtime.pipelines.of(pair).apply(
        events,
        images=delivery.image_stage(pair),
        may_go_on=delivery.may_go_on,
        must_end=lambda: runtime.watchdog.is_shutting_down,
        progress=delivery.watch.progress,
    )
