"""Products with new photos are flagged, in the write that brings the photos, where they duplicate another.

An early hint at the price of one search a row: it fails no event, and says nothing of what comes later.
`lookalike duplicates` compares everything.
"""

import logging
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from threading import Lock

from config.settings import Settings
from recommender import metrics
from recommender.catalog import Filter
from recommender.duplicates import DECIMALS, ROUNDING
from recommender.index.protocol import DuplicateOf, ProductIndex, Write
from worker.plan import Plan

log = logging.getLogger(__name__)


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
        done: list[Write] = []
        try:
            for plan, write in zip(plans, writes, strict=True):
                if write.vectors is None or not len(write.vectors) or plan.forced:
                    done.append(write)
                    continue
                found = [*self._stored(write, least), *_beside(write, done, least)]
                best = max(found, key=lambda one: one.score, default=None)
                done.append(replace(write, duplicate_of=best))
        except Exception:  # whatever it is, the events are worth more than the hint
            log.exception("duplicates_not_looked_for", extra={"products": len(writes) - len(done)})
        return [*done, *writes[len(done) :]]

    def _stored(self, write: Write, least: float) -> Iterator[DuplicateOf]:
        """The product in the index that is most like this one, if it is enough so."""
        assert write.vectors is not None, "only new rows are looked for"
        family = _family(write)
        where = Filter(exclude_ids=(write.id,), exclude_groups=() if family is None else (family,))
        for hit in self._index.search(write.vectors, where, limit=1, min_score=least):
            yield DuplicateOf(hit.stored.id, round(hit.score, DECIMALS))


def _beside(write: Write, earlier: Sequence[Write], least: float) -> Iterator[DuplicateOf]:
    """Those that are enough like it of what is written before it, but with it."""
    for other in earlier:
        related = _family(write) is not None and _family(write) == _family(other)
        if write.vectors is None or other.vectors is None or not len(other.vectors) or related:
            continue
        score = float((write.vectors @ other.vectors.T).max())
        if score >= least:
            yield DuplicateOf(other.id, round(min(1.0, score), DECIMALS))


def _family(write: Write) -> str | None:
    """The variant family, whose products may well share photos."""
    return write.state.product.group_id if write.state.product else None


def _tell(write: Write) -> None:
    if write.duplicate_of is not None:
        metrics.DUPLICATES_FOUND.inc()
        extra = {"id": write.id, "duplicate_of": write.duplicate_of.id, "score": write.duplicate_of.score}
        log.info("duplicate_found", extra=extra)
