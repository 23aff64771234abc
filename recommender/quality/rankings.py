"""How good rankings are, given what is right: R@1, R@10, reciprocal rank, nDCG@10. Pure: no I/O.

R@k is 1 where a right answer is among the first k, else 0 (recall@k as it is meant in image retrieval,
`success_k` of trec_eval). The reciprocal rank is that of the first right answer. nDCG@10 sums gain / log2(1 +
place) over the first ten places and divides by the greatest sum there is (Järvelin and Kekäläinen, 2002;
`ndcg_cut_10` of trec_eval).

Answers of equal score are taken in the worst order, the least gain first: an encoder to which everything
looks alike must not be lucky.
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.looks import Places

Floats = NDArray[np.float64]
DEPTH = 10
METRICS = ("r@1", "r@10", "mrr", "ndcg@10")
DECIMALS = 5
"""Scores are rounded so before they are compared: float32 sums can't tell more."""
_TIE = 0.5 * 10.0**-DECIMALS
_DISCOUNTS: Floats = 1 / np.log2(np.arange(2, DEPTH + 2))


@dataclass(frozen=True, slots=True)
class Judged:
    """Q rankings, as far as they are looked at.

    `gains` is (Q, DEPTH): the gain of the answer at each place, 0 for a wrong one or none; `answers`, as
    large, says which candidates these are, -1 for none. `ideal` is (Q, DEPTH): the greatest gains that there
    are, descending. `first` is (Q,): the place of the first right answer, from 1; 0 where there is none.
    """

    gains: Floats
    ideal: Floats
    first: Places
    answers: Places


def judge(scores: NDArray[np.floating], gains: NDArray[np.floating]) -> Judged:
    """Rank all candidates of each question by score, and say which were right.

    Args:
        scores: (Q, P); -inf for what is no candidate.
        gains: (Q, P), 0 for a wrong candidate, more for a right one.
    """
    worth: Floats = np.where(np.isfinite(scores), gains, 0.0).astype(np.float64)
    greatest = float(worth.max(initial=0)) or 1.0
    order = np.round(scores.astype(np.float64), DECIMALS) - worth * (_TIE / greatest)
    best = np.where(worth > 0, order, -np.inf).max(axis=1, initial=-np.inf)
    first = 1 + (order > best[:, None]).sum(axis=1)
    depth = min(DEPTH, scores.shape[1])
    places = np.argpartition(-order, depth - 1, axis=1)[:, :depth] if depth else order.astype(np.int64)
    places = np.take_along_axis(places, np.argsort(-np.take_along_axis(order, places, 1), axis=1), axis=1)
    present = np.isfinite(np.take_along_axis(order, places, axis=1))
    return Judged(
        _padded(np.take_along_axis(worth, places, axis=1), 0.0),
        ideal_of(worth),
        np.where(np.isfinite(best), first, 0).astype(np.int64),
        _padded(np.where(present, places, -1), -1).astype(np.int64),
    )


def ideal_of(gains: Floats) -> Floats:
    """The gains of all candidates, (Q, P) in any order -> (Q, DEPTH): the greatest, descending."""
    if gains.shape[1] > DEPTH:
        gains = -np.partition(-gains, DEPTH - 1, axis=1)[:, :DEPTH]
    return _padded(-np.sort(-gains, axis=1), 0.0)


def together(parts: Sequence[Judged]) -> Judged:
    """The rankings of all parts, in their order."""
    return Judged(
        np.concatenate([np.zeros((0, DEPTH)), *(part.gains for part in parts)]),
        np.concatenate([np.zeros((0, DEPTH)), *(part.ideal for part in parts)]),
        np.concatenate([np.zeros(0, np.int64), *(part.first for part in parts)]),
        np.concatenate([np.zeros((0, DEPTH), np.int64), *(part.answers for part in parts)]),
    )


def measure(judged: Judged) -> Floats:
    """The metrics of each ranking: (Q, 4), in the order of `METRICS`; 0 where nothing is right."""
    found, first = judged.first > 0, judged.first
    reciprocal = np.where(found, 1 / np.maximum(first, 1), 0.0)
    ideal = judged.ideal @ _DISCOUNTS
    ndcg = np.divide(judged.gains @ _DISCOUNTS, ideal, out=np.zeros(len(ideal)), where=ideal > 0)
    return np.stack([first == 1, found & (first <= DEPTH), reciprocal, ndcg], axis=1).astype(np.float64)


def within_depth(judged: Judged) -> Judged:
    """As if nobody looked beyond the first ten answers: what an index is asked for ends there."""
    return replace(judged, first=np.where(judged.first > DEPTH, 0, judged.first))


def _padded(values: NDArray[Any], filler: float) -> Floats:
    padded = np.full((len(values), DEPTH), filler, np.float64)
    padded[:, : values.shape[1]] = values
    return padded
