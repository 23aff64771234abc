"""The rules that are applied to hits after the search: families, negatives, variety. Pure functions."""

from collections.abc import Iterable, Iterator, Sequence

import numpy as np

from recommender.index.protocol import Hit, Vectors


def one_a_family(hits: Iterable[Hit]) -> Iterator[Hit]:
    """Keep the first, hence best, hit of each `group_id`; those without one are families of their own."""
    seen = set()
    for hit in hits:
        product = hit.stored.state.product
        family = product.group_id if product else None
        if family is None or family not in seen:
            seen.add(family)
            yield hit


def without_those_nearer_to(negative: Vectors, hits: Iterable[Hit]) -> Iterator[Hit]:
    """Drop what looks more like a negative than like the positives.

    That is: the best cosine of any of its rows to any row of `negative` ((N, D)) exceeds its score.
    What stays keeps its score and its place.
    """
    for hit in hits:
        if _best_pair(_rows(hit), negative) <= hit.score:
            yield hit


def diversified(candidates: Sequence[Hit], diversity: float, *, count: int) -> list[Hit]:
    """Reorder by maximal marginal relevance and return the first `count`.

    Each step takes the candidate with the greatest (1 - diversity) * score - diversity * (best
    cosine to anything taken so far); 0 keeps the order (Carbonell and Goldstein, SIGIR 1998).
    """
    relevance = np.array([hit.score for hit in candidates], dtype=np.float32)
    # The first step compares with nothing taken: -1 is the least cosine, alike for all.
    nearest = np.full(len(candidates), -1.0, dtype=np.float32)
    rows = [_rows(hit) for hit in candidates]
    stacked = np.concatenate(rows) if rows else np.empty((0, 0), np.float32)
    starts = np.cumsum([0, *(len(r) for r in rows)])[:-1]
    left = np.ones(len(candidates), dtype=bool)
    taken: list[Hit] = []
    while len(taken) < min(count, len(candidates)):
        marginal = np.where(left, (1 - diversity) * relevance - diversity * nearest, -np.inf)
        best = int(np.argmax(marginal))  # the first of equals: the better score
        taken.append(candidates[best])
        left[best] = False
        to_best = (stacked @ rows[best].T).max(axis=1)
        nearest = np.maximum(nearest, np.maximum.reduceat(to_best, starts))
    return taken


def _best_pair(rows: Vectors, others: Vectors) -> float:
    return float((rows @ others.T).max())


def _rows(hit: Hit) -> Vectors:
    assert hit.stored.vectors is not None, "the search was asked for vectors"
    return hit.stored.vectors
