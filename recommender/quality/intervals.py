"""How sure a mean is: percentile intervals by the bootstrap (Efron, 1979), over clusters. Pure.

Questions about one product, or one variant family, succeed and fail together: drawn one by one, they would
promise more than they know. So whole clusters are drawn, with replacement, and every mean is that of all
questions of what was drawn. Draws are seeded: the same questions give the same interval.
"""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.quality.rankings import Floats

LEVEL = 0.95
"""The share of the draws whose means an interval holds; each side leaves out half of the rest."""
RESAMPLES = 1000
SEED = 0


@dataclass(frozen=True, slots=True)
class Interval:
    """A mean of `questions` values in `clusters` clusters, and its bounds; none where one cluster is all."""

    mean: float
    low: float | None
    high: float | None
    questions: int
    clusters: int


def intervals(values: Floats, clusters: NDArray[np.int64], *, seed: int = SEED) -> list[Interval]:
    """The mean of each column, with its interval.

    For two systems on the same questions, take the differences: their interval is the paired one.

    Args:
        values: (Q, M), one row or more.
        clusters: (Q,), any number for each cluster.
        seed: of the draws.
    """
    names, places = np.unique(clusters, return_inverse=True)
    count = len(names)
    sizes = np.bincount(places, minlength=count).astype(np.float64)
    sums = np.stack([np.bincount(places, column, count) for column in values.T], axis=1)  # (C, M)
    means = sums.sum(axis=0) / len(values)
    if count < 2:
        return [Interval(float(mean), None, None, len(values), count) for mean in means]
    rng = np.random.default_rng(seed)
    drawn = np.empty((RESAMPLES, values.shape[1]))
    for row in drawn:
        times = np.bincount(rng.integers(count, size=count), minlength=count)
        row[:] = times @ sums / (times @ sizes)
    low, high = np.quantile(drawn, ((1 - LEVEL) / 2, (1 + LEVEL) / 2), axis=0)
    return [
        Interval(float(mean), float(below), float(above), len(values), count)
        for mean, below, above in zip(means, low, high, strict=True)
    ]
