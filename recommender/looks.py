"""The vectors of many products in one array, for what compares a whole catalog. Pure: no I/O."""

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.index.protocol import Vectors

Places = NDArray[np.int64]
"""(N,) int64: numbers of products, as they were added, from 0."""


@dataclass(frozen=True, slots=True)
class Looks:
    """What P products look like.

    `vectors` is (R, D) float32, unit L2 norm: the rows of all products, one after the other. Product i has
    `vectors[starts[i] : starts[i + 1]]`, one row or more; `starts` is (P + 1,).
    """

    vectors: Vectors
    starts: Places

    def __len__(self) -> int:
        return len(self.starts) - 1

    @property
    def products_of_rows(self) -> Places:
        """(R,): the product that each row is of."""
        return np.repeat(np.arange(len(self), dtype=np.int64), np.diff(self.starts))

    @property
    def centres(self) -> Vectors:
        """(P, D) float32: the mean row of each product, at unit L2 norm."""
        sums = np.add.reduceat(self.vectors, self.starts[:-1]) if len(self) else self.vectors
        norms = np.linalg.norm(sums, axis=1, keepdims=True)
        centres: Vectors = sums / np.maximum(norms, np.finfo(np.float32).tiny)
        return centres


class Gathering:
    """Gathers looks product by product, in an array that grows in place: it is never held twice."""

    def __init__(self, dimension: int) -> None:
        self._vectors = np.empty((1024, dimension), np.float32)
        self._starts = [0]

    def add(self, rows: Vectors) -> None:
        """Add the next product; `rows` is (N, D), one or more."""
        begin, end = self._starts[-1], self._starts[-1] + len(rows)
        if end > len(self._vectors):
            self._resize(max(end, len(self._vectors) * 3 // 2))
        self._vectors[begin:end] = rows
        self._starts.append(end)

    def finish(self) -> Looks:
        """All that was added; nothing can be added after."""
        self._resize(self._starts[-1])
        return Looks(self._vectors, np.array(self._starts, np.int64))

    def _resize(self, rows: int) -> None:
        self._vectors.resize((rows, self._vectors.shape[1]), refcheck=False)  # nobody else has seen it yet
