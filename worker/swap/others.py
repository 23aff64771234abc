"""What a swap must know of others: processes that it waits for, and swaps that were left behind."""

import logging
from collections.abc import Callable

from recommender.errors import JobStopped
from recommender.swap_state import ProcessReport, SwapState
from worker.runtime import Runtime

log = logging.getLogger(__name__)


def waited_for(runtime: Runtime, is_behind: Callable[[ProcessReport], bool]) -> list[str]:
    """The processes that are behind, as people know them."""
    reports = runtime.swaps.processes()
    return sorted(f"{report.kind} {name}" for name, report in reports.items() if is_behind(report))


def is_running(runtime: Runtime, swap: SwapState) -> bool:
    """Whether the job of a swap goes on."""
    record = runtime.jobs.get(swap.id)
    return record is not None and record.is_open


def end_abandoned(runtime: Runtime) -> None:
    """End a swap whose job has ended before the flip: refused, cancelled or failed.

    Nothing is written to its new collection any more, which stays for whoever wants to look at it; a later
    swap to the same encoder goes on from what it holds. After the flip a swap stays, for a rollback.
    """
    swap = runtime.swaps.read()
    if swap is None or swap.phase in ("flipped", "rolled-back") or is_running(runtime, swap):
        return
    if runtime.resources.engine.serving() == swap.new:
        runtime.swaps.advance(swap, "flipped")
    elif runtime.swaps.end(swap.id):
        log.warning("swap_ended", extra={"swap": swap.id, "phase": swap.phase, "new": swap.new})


def refuse_other(runtime: Runtime, own: str) -> None:
    """Refuse to begin beside another swap.

    Raises:
        JobStopped: there is one.
    """
    end_abandoned(runtime)
    other = runtime.swaps.read()
    if other is None or other.id == own:
        return
    if is_running(runtime, other):
        way_out = f"wait for it, or `lookalike jobs cancel {other.id}`"
    else:
        way_out = "drop the collection that does not serve first: `lookalike reindex --drop-old`"
    raise JobStopped(f"a swap from {other.old} to {other.new} is there ({other.phase}): {way_out}")
