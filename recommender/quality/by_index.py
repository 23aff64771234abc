"""Questions answered by an index as it searches, for what its settings and its storage change."""

from collections.abc import Callable, Sequence
from dataclasses import replace

import numpy as np

from recommender.catalog import Filter
from recommender.index.protocol import ProductIndex, Vectors
from recommender.index.strategy import Strategy
from recommender.looks import Looks, Places
from recommender.quality.rankings import DEPTH, Judged, ideal_of, judge, together, within_depth
from recommender.quality.truth import Truth

Search = Callable[[Vectors, int], list[tuple[str, float]]]
"""Rows that are asked by, (Q, D), and how many products are wanted -> ids with scores, best first."""


def searching(index: ProductIndex, where: Filter, strategy: Strategy | None) -> Search:
    """An index asked under a filter, in one way; in its own, if None."""

    def search(rows: Vectors, limit: int) -> list[tuple[str, float]]:
        hits = index.search(rows, where, limit=limit, strategy=strategy)
        return [(hit.stored.id, hit.score) for hit in hits]

    return search


def rank_by_index(
    search: Search,
    ids: Sequence[str],
    looks: Looks,
    truth: Truth,
    advance: Callable[[int], None] = lambda _: None,
) -> Judged:
    """Answer each question by a search; ranks end after ten answers, where searches do.

    A product with a row that answers nothing is scored here by its others: an index can't leave a row out.

    Args:
        search: asks the index.
        ids: the products of `looks`; others that are found are no answers.
        looks: the rows that were given to the index.
        truth: the questions.
        advance: told of each question answered.
    """
    places = {name: place for place, name in enumerate(ids)}
    of_rows = looks.products_of_rows
    found = []
    for question in range(len(truth)):
        asked, hidden = looks.vectors[truth.asked[question]], truth.hidden[question]
        concerned = set(of_rows[hidden].tolist())
        hits = search(asked, DEPTH + len(concerned))
        scores = {places[name]: score for name, score in hits if name in places}
        for product in concerned & scores.keys():
            scores[product] = _without(looks, product, hidden, asked)
        found.append(_judged(scores, truth, question))
        advance(1)
    return within_depth(together(found))


def _without(looks: Looks, product: int, hidden: Places, asked: Vectors) -> float:
    """The score of a product by its rows that aren't hidden; -inf where it has none."""
    rows = np.setdiff1d(np.arange(looks.starts[product], looks.starts[product + 1]), hidden)
    return float((asked @ looks.vectors[rows].T).max(initial=-np.inf))


def _judged(scores: dict[int, float], truth: Truth, question: int) -> Judged:
    """The ranking of what was found; what is right and was not found counts in the ideal alone."""
    worth = truth.worth(question)
    candidates = np.array(list(scores), np.int64)
    gains = np.array([[worth.get(place, 0.0) for place in scores]])
    judged = judge(np.array([list(scores.values())]), gains)
    answers = np.where(judged.answers < 0, -1, np.append(candidates, -1)[judged.answers])
    return replace(judged, answers=answers, ideal=ideal_of(np.array([list(worth.values())])))
