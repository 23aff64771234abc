"""The rules that are applied to hits after the search: families, brands, negatives, variety. Pure."""

from collections import Counter
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


def at_most_a_brand(cap: int, hits: Iterable[Hit]) -> Iterator[Hit]:
    """Keep the first `cap` hits of each brand; those without one are not counted."""
    seen: Counter[str] = Counter()
    for hit in hits:
        product = hit.stored.state.product
        brand = product.brand if product else None
        if brand is not None:
            seen[brand] += 1
        if brand is None or seen[brand] <= cap:
            yield hit


def without_those_nearer_to(negative: Vectors, positive: Vectors, hits: Iterable[Hit]) -> Iterator[Hit]:
    """Drop what looks more like a negative than like the positives.

    That is: its best product with any row of `negative` ((N, D)) exceeds that with any row of `positive`
    ((P, D)); rows are of unit norm times their weight. What stays keeps its score and its place.
    """
    for hit in hits:
        rows = _rows(hit)
        if _best_pair(rows, negative) <= _best_pair(rows, positive):
            yield hit


def diversified(candidates: Sequence[Hit], diversity: float) -> Iterator[Hit]:
    """Reorder by maximal marginal relevance.

    Each step takes the candidate with the greatest (1 - diversity) * relevance - diversity * (best
    cosine to anything taken so far); 0 keeps the order (Carbonell and Goldstein, SIGIR 1998).
    """
    relevance = np.array([hit.relevance for hit in candidates], dtype=np.float32)
    # The first step compares with nothing taken: -1 is the least cosine, alike for all.
    nearest = np.full(len(candidates), -1.0, dtype=np.float32)
    rows = [_rows(hit) for hit in candidates]
    stacked = np.concatenate(rows) if rows else np.empty((0, 0), np.float32)
    starts = np.cumsum([0, *(len(r) for r in rows)])[:-1]
    left = np.ones(len(candidates), dtype=bool)
    for _ in candidates:
        marginal = np.where(left, (1 - diversity) * relevance - diversity * nearest, -np.inf)
        best = int(np.argmax(marginal))  # the first of equals: the better score
        left[best] = False
        yield candidates[best]
        to_best = (stacked @ rows[best].T).max(axis=1)
        nearest = np.maximum(nearest, np.maximum.reduceat(to_best, starts))


def _best_pair(rows: Vectors, others: Vectors) -> float:
    return float((rows @ others.T).max())


def _rows(hit: Hit) -> Vectors:
    assert hit.stored.vectors is not None, "the search was asked for vectors"
    return hit.stored.vectors
