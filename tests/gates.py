"""How much a changed transform or precision may change of what is found."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from recommender.encoders.protocol import Embeddings

K = 10


def top10_overlap(rows_a: Embeddings, rows_b: Embeddings) -> float:
    """The mean share, over all rows, of the ten nearest others by `rows_a` that `rows_b` finds too."""
    pairs = zip(_nearest(rows_a @ rows_a.T, K), _nearest(rows_b @ rows_b.T, K), strict=True)
    return float(np.mean([len(np.intersect1d(a, b)) / K for a, b in pairs]))


def recall_at_1(rows: Embeddings, products: Sequence[str], queries: Embeddings | None = None) -> float:
    """The share of queries whose nearest row of another photo is of the same product.

    Row i of `queries` is of a view of photo i modulo the number of photos; without any, the rows themselves.
    """
    queries = rows if queries is None else queries
    names = np.asarray(products)
    nearest = np.concatenate(
        [_nearest(queries[at : at + len(rows)] @ rows.T, 1)[:, 0] for at in range(0, len(queries), len(rows))]
    )
    return float(np.mean(names[nearest] == np.resize(names, len(nearest))))


def _nearest(scores: NDArray[np.float32], k: int) -> NDArray[np.intp]:
    """(B, k): the others of greatest cosine, best first."""
    np.fill_diagonal(scores, -np.inf)
    return np.argsort(-scores, axis=1, kind="stable")[:, :k]
