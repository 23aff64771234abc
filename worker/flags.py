"""Products with new photos are flagged, in the write that brings the photos, where they duplicate another.

An early hint at the price of a search: it fails no event, and says nothing of what comes later. `lookalike
duplicates` compares everything.
"""

import logging
from collections.abc import Iterable, Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from threading import Lock

import numpy as np

from config.settings import Settings
from recommender import metrics
from recommender.catalog import Filter
from recommender.duplicates import DECIMALS, ROUNDING
from recommender.index.protocol import DuplicateOf, Hit, ProductIndex, Vectors, Write
from worker.plan import Plan

log = logging.getLogger(__name__)
_CANDIDATES = 4


class DuplicateFlags:
    """Writes to an index, flagging duplicates if the settings say from which cosine. Thread-safe."""

    def __init__(self, index: ProductIndex, settings: Settings) -> None:
        self._index = index
        self._min_score = settings.worker.flag_duplicates
        # The later of two copies in two messages shall see the earlier. An embedded index has one process,
        # whose searches take turns anyway; workers that share a server may miss what others are writing.
        self._turn: AbstractContextManager[object] = Lock() if settings.index_is_embedded else nullcontext()

    def write(self, plans: Sequence[Plan], writes: Sequence[Write]) -> set[str]:
        """As `ProductIndex.write`; `writes[i]` was made of `plans[i]`."""
        if self._min_score is None:
            return self._index.write(writes)
        with self._turn:
            flagged = self._flagged(plans, writes, self._min_score - ROUNDING)
            lost = self._index.write(flagged)
        for before, after in zip(writes, flagged, strict=True):
            if after.duplicate_of != before.duplicate_of and after.id not in lost:
                _tell(after)
        return lost

    def _flagged(self, plans: Sequence[Plan], writes: Sequence[Write], least: float) -> list[Write]:
        fresh = [
            write
            for plan, write in zip(plans, writes, strict=True)
            if len(_rows(write)) and not plan.forced and not plan.copies
        ]
        try:
            stored = self._stored(fresh, least)
        except Exception:  # whatever it is, the events are worth more than the hint
            log.exception("duplicates_not_looked_for", extra={"products": len(fresh)})
            return list(writes)
        found = {}
        for place, write in enumerate(fresh):
            candidates = [*stored[write.id], *_beside(write, fresh[:place], least)]
            found[write.id] = max(candidates, key=lambda one: one.score, default=None)
        return [replace(write, duplicate_of=found.get(write.id, write.duplicate_of)) for write in writes]

    def _stored(self, fresh: Sequence[Write], least: float) -> dict[str, list[DuplicateOf]]:
        """What in the index is enough like each of these.

        Only a product whose own family fills its candidates is searched for alone.
        """
        if not fresh:
            return {}
        rows = np.concatenate([_rows(write) for write in fresh])
        nearest = iter(self._index.nearest_to_each(rows, Filter(), limit=_CANDIDATES))
        found: dict[str, list[DuplicateOf]] = {}
        for write in fresh:
            hits = [next(nearest) for _ in _rows(write)]
            found[write.id] = list(_enough((hit for some in hits for hit in some), write, least))
            crowded = any(len(some) == _CANDIDATES and some[-1].score >= least for some in hits)
            if crowded and not found[write.id]:
                found[write.id] = list(_enough(self._others(write), write, least))
        return found

    def _others(self, write: Write) -> list[Hit]:
        family = _family(write)
        where = Filter(exclude_ids=(write.id,), exclude_groups=() if family is None else (family,))
        return self._index.search(_rows(write), where, limit=1)


def _enough(hits: Iterable[Hit], write: Write, least: float) -> Iterator[DuplicateOf]:
    """Those that are enough like the product, and not of its family or itself."""
    family = _family(write)
    for hit in hits:
        product = hit.stored.state.product
        related = family is not None and product is not None and product.group_id == family
        if hit.score >= least and hit.stored.id != write.id and not related:
            yield DuplicateOf(hit.stored.id, round(hit.score, DECIMALS))


def _beside(write: Write, earlier: Sequence[Write], least: float) -> Iterator[DuplicateOf]:
    """Those that are enough like it of what is written before it, but with it."""
    for other in earlier:
        score = float((_rows(write) @ _rows(other).T).max())
        related = _family(write) is not None and _family(write) == _family(other)
        if score >= least and not related:
            yield DuplicateOf(other.id, round(min(1.0, score), DECIMALS))


def _rows(write: Write) -> Vectors:
    """The new rows; none where the stored ones stay."""
    return np.empty((0, 0), np.float32) if write.vectors is None else write.vectors


def _family(write: Write) -> str | None:
    """The variant family, whose products may well share photos."""
    return write.state.product.group_id if write.state.product else None


def _tell(write: Write) -> None:
    if write.duplicate_of is not None:
        metrics.DUPLICATES_FOUND.inc()
        extra = {"id": write.id, "duplicate_of": write.duplicate_of.id, "score": write.duplicate_of.score}
        log.info("duplicate_found", extra=extra)
