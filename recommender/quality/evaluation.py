"""What an evaluation found: metrics of all questions and by category, and how two ways differ. Pure."""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np

from recommender.looks import Places
from recommender.quality.intervals import Interval, intervals
from recommender.quality.rankings import METRICS, Floats, Judged, measure

NDCG, MRR = METRICS.index("ndcg@10"), METRICS.index("mrr")
ALL = "all"
Intervals = dict[str, Interval]


@dataclass(frozen=True, slots=True)
class Scores:
    """Of the questions about one category, or about `all`: the metrics, by name.

    `after` is that of the other way to answer, and `change` the difference, with an interval of its own: the
    questions are the same.
    """

    name: str
    before: Intervals
    after: Intervals | None = None
    change: Intervals | None = None

    def as_json(self) -> dict[str, Any]:
        """As commands print it."""
        return {key: value for key, value in asdict(self).items() if value is not None}


def scores(
    before: Judged,
    after: Judged | None,
    *,
    categories: Sequence[str],
    clusters: Places,
    seed: int,
) -> list[Scores]:
    """The metrics of all questions, then of each category, by name.

    Args:
        before: how the questions were answered, one at least.
        after: how the same questions were answered another way, if they were.
        categories: what each question is about.
        clusters: (Q,), the same number for questions that are not independent.
        seed: of the intervals.
    """
    old, new = measure(before), None if after is None else measure(after)
    named = np.array(categories)
    found = [_scores(ALL, old, new, clusters, seed)]
    for name in sorted(set(categories)):
        own = named == name
        found.append(_scores(name, old[own], None if new is None else new[own], clusters[own], seed))
    return found


def biggest_changes(before: Judged, after: Judged) -> Places:
    """The questions whose answers changed, by nDCG@10, then by reciprocal rank; most first."""
    change = np.abs(measure(after) - measure(before))
    order = np.lexsort((-change[:, MRR], -change[:, NDCG]))
    return order[change[order].any(axis=1)].astype(np.int64)


def _scores(name: str, old: Floats, new: Floats | None, clusters: Places, seed: int) -> Scores:
    before = _named(old, clusters, seed)
    if new is None:
        return Scores(name, before)
    return Scores(name, before, _named(new, clusters, seed), _named(new - old, clusters, seed))


def _named(values: Floats, clusters: Places, seed: int) -> Intervals:
    return dict(zip(METRICS, intervals(values, clusters, seed=seed), strict=True))
