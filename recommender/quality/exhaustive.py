"""Every question compared with every row, exactly, in blocks. Pure.

It holds the rows, and for one block of questions a handful of arrays of `BLOCK_CELLS` numbers.
"""

from collections.abc import Callable, Iterator

import numpy as np

from recommender.index.protocol import Vectors
from recommender.looks import Looks
from recommender.quality.rankings import Judged, judge, together
from recommender.quality.truth import Truth

BLOCK_CELLS = 4_000_000
"""Scores of one block: 16 MB as float32, and a few times as much while they are ranked."""


def rank(
    looks: Looks,
    truth: Truth,
    *,
    asked: Vectors | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Judged:
    """Answer each question with the products of `looks`, each by its best pair of rows.

    Args:
        looks: what is found.
        truth: the questions; its rows are those of `looks`.
        asked: (R, D) the rows that are asked by, where they aren't those that are stored.
        advance: told how many questions more are answered.
    """
    found = []
    for begin, end in _blocks(looks, truth):
        found.append(_judged(looks, truth, begin, end, looks.vectors if asked is None else asked))
        advance(end - begin)
    return together(found)


def _blocks(looks: Looks, truth: Truth) -> Iterator[tuple[int, int]]:
    """Where blocks of questions begin and end: one question at least, so many rows that the scores fit."""
    rows = max(1, BLOCK_CELLS // max(1, len(looks.vectors)))
    begin, starts = 0, truth.asked.starts
    while begin < len(truth):
        end = int(np.searchsorted(starts, starts[begin] + rows, side="right")) - 1
        end = max(begin + 1, end)
        yield begin, end
        begin = end


def _judged(looks: Looks, truth: Truth, begin: int, end: int, asked: Vectors) -> Judged:
    starts = truth.asked.starts[begin : end + 1] - truth.asked.starts[begin]
    rows = truth.asked.members[truth.asked.starts[begin] : truth.asked.starts[end]]
    by_row = np.maximum.reduceat(asked[rows] @ looks.vectors.T, starts[:-1], axis=0)  # (questions, R)
    for place, question in enumerate(range(begin, end)):
        by_row[place, truth.hidden[question]] = -np.inf
    scores = np.maximum.reduceat(by_row, looks.starts[:-1], axis=1)  # (questions, P)
    gains = np.zeros(scores.shape, np.float32)
    for place, question in enumerate(range(begin, end)):
        worth = truth.worth(question)
        gains[place, list(worth)] = list(worth.values())
    return judge(scores, gains)
