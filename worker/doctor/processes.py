"""The doctor on the processes that follow alias and swap, as they report in Redis."""

from collections.abc import Iterator

from recommender.swap_state import SwapBook
from worker.doctor.finding import Finding, fix, ok, warn


def look_at_processes(book: SwapBook) -> Iterator[Finding]:
    """Who runs, with which encoder, and whether a model swap does.

    Raises:
        BrokerUnavailable: Redis does not answer.
    """
    swap, reports = book.read(), book.processes()
    if swap is not None:
        yield ok("model swap", f"{swap.phase}: from {swap.old} to {swap.new}")
    served = sorted({report.serving for report in reports.values()})
    kinds = [report.kind for report in reports.values()]
    found = f"{kinds.count('worker')} workers and {kinds.count('api')} of the API alone"
    found += f", serving {', '.join(served)}" if served else ""
    failed = [f"{name}: {report.error}" for name, report in reports.items() if report.error]
    if failed:
        remedy = "correct what they say: they serve on with what they have, and try again every 30 s"
        yield fix("processes", "; ".join(failed), remedy)
    elif len(served) > 1:
        yield warn("processes", found, "they follow within seconds; look again")
    else:
        yield ok("processes", found)
