"""The phases of a swap, each a generator of the places that its parts end at; the last is in the next phase.

Every part may be repeated: a worker that is killed within it leaves the swap where the part began.
"""

import time
from collections.abc import Callable, Mapping

from recommender.errors import JobStopped
from recommender.quality.gate import judging
from recommender.quality.photos import Photos
from recommender.quality.verdict import Verdict
from recommender.swap_state import Phase, SwapState
from worker.swap.backfilling import backfill, catch_up
from worker.swap.dropping import drop
from worker.swap.estimate import loaded
from worker.swap.others import refuse_other, waited_for
from worker.swap.position import LOOK_S, Parts, Swap, SwapPosition

OPEN_WITHIN_S = 900.0
"""Weights may have to be fetched, and graphs exported, on every machine."""
GIVE_UP_ERROR_S = 60.0
NAMED = 16


def prepare(swap: Swap, place: SwapPosition) -> Parts:
    """Create the collection, and wait until every process has the pair open."""
    swap.job.phase("preparing")
    if not place.new:
        place = _found(swap, place)
        yield place
    if not place.begun:
        runtime = swap.runtime
        runtime.resources.engine.create(place.new, place.dimension, swap.recipe)
        state = SwapState(swap.job.id, place.old, place.new, swap.recipe, "preparing")
        if not runtime.swaps.begin(state):
            refuse_other(runtime, swap.job.id)
            raise JobStopped("another swap began at the same time")
        place = place.to(begun=True)
        yield place
    while waiting := waited_for(swap.runtime, lambda one: not _follows(one.swap, one.pairs, swap, place)):
        _give_up_in_time(swap, place, waiting)
        swap.job.report["waiting_for"] = waiting[:NAMED]
        swap.job.wait(LOOK_S)
        yield place
    swap.job.report.pop("waiting_for", None)
    yield swap.enter(place, "backfilling")


def _found(swap: Swap, place: SwapPosition) -> SwapPosition:
    """Load the encoder, since only its weights say what its fingerprint is."""
    runtime = swap.runtime
    old = runtime.resources.engine.serving()
    assert old is not None, "this process serves"
    encoder = loaded(runtime, swap.recipe)
    if encoder.fingerprint == old:
        raise JobStopped(f"{swap.recipe.name} is the encoder that serves ({old}): there is nothing to swap")
    refuse_other(runtime, swap.job.id)
    return place.to(old=old, new=encoder.fingerprint, dimension=encoder.spec.dimension, since=time.time())


def _follows(acts_on: str | None, pairs: tuple[str, ...], swap: Swap, place: SwapPosition) -> bool:
    return acts_on == swap.job.id and {place.old, place.new} <= set(pairs)


def _give_up_in_time(swap: Swap, place: SwapPosition, waiting: list[str]) -> None:
    waited_s = time.time() - place.since
    reports = swap.runtime.swaps.processes()
    errors = [f"{name}: {one.error}" for name, one in reports.items() if one.error]
    if errors and waited_s > GIVE_UP_ERROR_S:
        raise JobStopped(f"the new encoder can't be opened: {'; '.join(errors[:NAMED])}")
    if waited_s > OPEN_WITHIN_S:
        raise JobStopped(f"not open within {OPEN_WITHIN_S:.0f} s in {', '.join(waiting[:NAMED])}")


def judge(swap: Swap, place: SwapPosition) -> Parts:
    """Compare the two on the shop's own products; where the gate refuses, the old one serves on."""
    swap.job.phase("judging")
    runtime, settings = swap.runtime, swap.runtime.settings
    photos = Photos(runtime.resources.source, settings.images.max_pixels)
    checks = []
    for check in judging(swap.pair(place.old), swap.pair(place.new), settings.gate, photos):
        checks.append(check)
        swap.delivery.watch.progress()
    verdict = Verdict(place.old, place.new, tuple(checks))
    swap.job.report["gate"] = verdict.as_json()
    if not verdict.passed:
        failed = "; ".join(str(check) for check in checks if check.passed is False)
        raise JobStopped(
            f"the gate refuses {place.new}: {failed or 'looks could not be compared'}. "
            f"{place.old} serves on; the new collection stays to be looked at, until "
            "`lookalike reindex --drop-old`"
        )
    yield swap.enter(place, "flipping")


def flip(swap: Swap, place: SwapPosition) -> Parts:
    """Let the alias name the new collection, and wait until every process serves from it."""
    swap.job.phase("flipping")
    if not place.begun:
        swap.runtime.resources.engine.promote(place.new)
        place = place.to(begun=True)
        yield place
    while waiting := waited_for(swap.runtime, lambda one: one.serving != place.new):
        swap.job.report["waiting_for"] = waiting[:NAMED]
        swap.job.wait(LOOK_S)
        yield place
    swap.job.report.pop("waiting_for", None)
    yield swap.enter(place, "flipped")


def finish(swap: Swap, place: SwapPosition) -> Parts:
    """Drop the old collection, if that was asked for; otherwise it is kept up to date, for a rollback."""
    if swap.drop_old:
        yield from drop(swap.runtime, swap.job, place)


PHASES: Mapping[Phase, Callable[[Swap, SwapPosition], Parts]] = {
    "preparing": prepare,
    "backfilling": backfill,
    "catching-up": catch_up,
    "judging": judge,
    "flipping": flip,
    "flipped": finish,
}


def parts(swap: Swap, place: SwapPosition) -> Parts:
    """All that is left of a swap, from this place on."""
    while True:
        phase = place.phase
        if phase != "flipped" and (phase != "preparing" or place.begun):
            swap.state()  # else it is yet to begin, or its end may be behind us
        for following in PHASES[phase](swap, place):
            place = following
            yield place
        if place.phase == phase:
            return
