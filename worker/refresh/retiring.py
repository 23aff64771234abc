"""Last phase: tombstones for the products that the feed, read to its end, does not have."""

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.errors import JobStopped
from recommender.index.protocol import CensusEntry
from worker.hashes import hashes
from worker.refresh.comparing import seen_in
from worker.refresh.known import Flags, Known, found_in
from worker.refresh.position import RefreshPosition
from worker.refresh.run import Run
from worker.refresh.scanning import PAGE_POINTS

DELETE = "products.delete"


def retire(run: Run, position: RefreshPosition) -> Iterator[RefreshPosition]:
    """Publish a delete of each, a page of the index's census a part.

    It carries the version that the product had when it was scanned, and no clock's: what the shop says
    later with its own versions wins. A product that was written to since is left alone.

    Raises:
        JobStopped: more would go than may, or a record may have been one of them; nothing is deleted.
        IndexUnavailable: the index failed; the part may be tried again.
        NotesLost: notes of the phases before are gone.
    """
    if position.phase != "retiring":
        return
    known = run.known(position)
    gone = known.products[known.live & ~_seen(run, known, position)]
    if len(gone):
        _guard(run, position, len(gone), int(known.live.sum()))
    run.job.phase("retiring", position.counts.points)
    while len(gone) and position.phase == "retiring":
        page = run.index.census(limit=PAGE_POINTS, cursor=position.cursor or None)
        documents = _deletes(page.entries, gone)
        run.publish(DELETE, documents)
        position = position.to(
            phase="retiring" if page.cursor else "ended",
            cursor=page.cursor or "",
            passed=position.passed + len(page.entries),
            counts=position.counts.plus(gone=len(documents)),
        )
        run.job.done(position.passed)
        yield position


def _seen(run: Run, known: Known, position: RefreshPosition) -> Flags:
    noted = b"".join(run.notes.get(seen_in(position), position.compared))
    rows = known.rows(np.frombuffer(noted, "<u8"))
    seen = np.zeros(len(known.products), np.bool_)
    seen[rows[rows >= 0]] = True
    return seen


def _guard(run: Run, position: RefreshPosition, gone: int, live: int) -> None:
    """Say no to what may be a feed that was cut short, or is of another catalog.

    Raises:
        JobStopped: it may.
    """
    missing = f"{gone} of the index's {live} products are not in {run.feed}"
    if position.counts.nameless:
        raise JobStopped(
            f"{missing}, and {position.counts.nameless} of its records have no id that can be read: each "
            "may be one of those. Nothing was deleted; what is new or changed was published. Mend the "
            "records (`lookalike dead-letters list` shows them) and refresh again"
        )
    if gone > run.max_gone * live:
        raise JobStopped(
            f"{missing}: {gone / live:.1%}, where at most {run.max_gone:.1%} may go "
            "(LOOKALIKE_FEED__MAX_GONE). Nothing was deleted; what is new or changed was published. "
            "If the feed is whole, and they are gone indeed: "
            f"lookalike refresh {run.feed} --max-gone {min(1.0, math.ceil(gone / live * 1000) / 1000)}"
        )


def _deletes(entries: Sequence[CensusEntry], gone: NDArray[np.void]) -> list[dict[str, Any]]:
    """The deletes of those that are gone and were not written to since they were scanned."""
    places = found_in(gone["id"], hashes(entry.id for entry in entries))
    found = [(entry, gone[place]) for entry, place in zip(entries, places, strict=True) if place >= 0]
    return [
        {"id": entry.id, "version": entry.version}
        for entry, scanned in found
        if (entry.version, int(entry.digest or "0", 16)) == (scanned["version"], scanned["digest"])
    ]
