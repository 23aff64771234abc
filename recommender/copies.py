"""Pictures that can't be told apart, by their rows: which ones are the same picture. Pure: no I/O.

Each row belongs to the first row that it is like, among those that are like no earlier one. A picture
that thousands of products share is therefore compared once with each of them, and not each of them
with all others.
"""

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from recommender.duplicates import BLOCK_ROWS
from recommender.looks import Looks

Labels = NDArray[np.int64]
"""(R,) int64: for each row the number of the row that it is a copy of; its own where it is none's."""


def block_count(looks: Looks) -> int:
    """How many blocks of rows `find_copies` goes through."""
    return -(-len(looks.vectors) // BLOCK_ROWS)


def find_copies(looks: Looks, *, min_score: float, advance: Callable[[int], None] = lambda _: None) -> Labels:
    """Say of each row which row it is a copy of: a cosine of `min_score` or more, in (0, 1].

    Holds the rows and one block of scores (BLOCK_ROWS squared float32). `advance` is called after each of
    `block_count` blocks.
    """
    labels: Labels = np.arange(len(looks.vectors), dtype=np.int64)
    for begin in range(0, len(labels), BLOCK_ROWS):
        block = np.arange(begin, min(begin + BLOCK_ROWS, len(labels)))
        _within(looks, block, labels, min_score)
        leaders = block[labels[block] == block]
        for other in range(begin + BLOCK_ROWS, len(labels), BLOCK_ROWS):
            rows = np.arange(other, min(other + BLOCK_ROWS, len(labels)))
            rows = rows[labels[rows] == rows]  # the others have theirs
            _assign(looks, leaders, rows, labels, min_score)
        advance(1)
    return labels


def _within(looks: Looks, block: Labels, labels: Labels, min_score: float) -> None:
    """The rows of one block among themselves, in their order."""
    block = block[labels[block] == block]
    alike = looks.vectors[block] @ looks.vectors[block].T >= min_score
    for at in np.flatnonzero(alike.sum(axis=1) > 1):
        row = block[at]
        if labels[row] == row:
            later = block[at + 1 :][alike[at, at + 1 :]]
            labels[later[labels[later] == later]] = row


def _assign(looks: Looks, leaders: Labels, rows: Labels, labels: Labels, min_score: float) -> None:
    """Give each row that is like a leader the first such leader."""
    if not len(leaders) or not len(rows):
        return
    alike = looks.vectors[rows] @ looks.vectors[leaders].T >= min_score  # (rows, leaders)
    found = alike.any(axis=1)
    labels[rows[found]] = leaders[alike[found].argmax(axis=1)]
