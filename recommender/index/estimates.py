"""About how many points pass a filter: from the engine's statistics, remembered for a while."""

import time
from collections.abc import Callable
from dataclasses import dataclass, replace

from recommender.index.filters import PointIs, Where
from recommender.index.strategy import Strategy, choose

_KEPT_S = 10
_KEPT = 1024


@dataclass(frozen=True, slots=True)
class _Estimate:
    matching: int
    until: float


class Estimates:
    """Chooses the strategy of each search of one collection. Thread-safe.

    Args:
        count: about how many points pass; asked at most once in a while for the same filter.
        everything: what passes for the filter that asks for nothing.
        clock: monotonic seconds.
    """

    def __init__(
        self,
        count: Callable[[Where], int],
        everything: Where,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._count = count
        self._everything = everything
        self._clock = clock
        self._known: dict[str, _Estimate] = {}

    def strategy(self, where: Where, wanted: int) -> Strategy:
        """The one for `wanted` neighbours of a vector among the points that pass."""
        excluded = [condition for condition in where.must_not if isinstance(condition, PointIs)]
        # Every question excludes its own seed: without the ids, questions share their estimate.
        others = tuple(condition for condition in where.must_not if not isinstance(condition, PointIs))
        filtered = replace(where, must_not=others)
        points = self._about(self._everything)
        matching = points if filtered == self._everything else min(self._about(filtered), points - 1)
        ids = sum(len(condition.ids) for condition in excluded)
        return choose(points=points, matching=matching, excluded=ids, wanted=wanted)

    def _about(self, where: Where) -> int:
        key, now = repr(where), self._clock()
        known = self._known.get(key)
        if known is None or known.until < now:
            if len(self._known) >= _KEPT:
                self._known.clear()
            known = self._known[key] = _Estimate(self._count(where), now + _KEPT_S)
        return known.matching
