from dataclasses import replace

from recommender.index.estimates import Estimates
from recommender.index.filters import OneOf, PointIs, Where
from recommender.index.strategy import EXACT, Strategy

EVERYTHING = Where(must=(OneOf("status", ["searchable"]),))
BOOTS = Where(must=(OneOf("status", ["searchable"]), OneOf("category", ["boots"])))
POINTS = 1_000_000


class Engine:
    """Counts, and remembers what it was asked."""

    def __init__(self) -> None:
        self.asked: list[Where] = []
        self.boots = 800_000
        self.now = 0.0
        self.estimates = Estimates(self.count, EVERYTHING, lambda: self.now)

    def count(self, where: Where) -> int:
        self.asked.append(where)
        return POINTS if where == EVERYTHING else self.boots


def excluding(where: Where, *ids: str) -> Where:
    return replace(where, must_not=(PointIs(ids),))


def test_questions_that_exclude_their_own_seed_share_an_estimate() -> None:
    engine = Engine()
    for seed in "abc":
        assert engine.estimates.strategy(excluding(BOOTS, seed), 12).name == "wide"
    assert engine.asked == [EVERYTHING, BOOTS]


def test_an_estimate_is_asked_for_again_after_a_while() -> None:
    engine = Engine()
    assert engine.estimates.strategy(BOOTS, 12).name == "wide"
    engine.boots, engine.now = 100, 10.0
    assert engine.estimates.strategy(BOOTS, 12).name == "wide"
    engine.now = 10.1
    assert engine.estimates.strategy(BOOTS, 12) == EXACT


def test_no_filter_walks_the_plain_graph_and_counts_nothing_else() -> None:
    engine = Engine()
    assert engine.estimates.strategy(excluding(EVERYTHING, "a"), 12) == Strategy("graph", ef=100)
    assert engine.asked == [EVERYTHING]


def test_many_excluded_products_are_a_filter() -> None:
    engine = Engine()
    assert engine.estimates.strategy(excluding(EVERYTHING, *map(str, range(100))), 12).name == "wide"


def test_a_filter_that_everything_seems_to_pass_is_still_a_filter() -> None:
    engine = Engine()
    engine.boots = POINTS + 5  # statistics are estimates
    assert engine.estimates.strategy(BOOTS, 12).name == "wide"
