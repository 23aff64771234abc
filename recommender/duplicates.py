"""Products that look the same: every pair above a cosine, and the groups that the pairs make. Pure: no I/O.

Exact, by matrix products of blocks of rows. It holds the rows, one block of scores (BLOCK_ROWS squared
float32, 4 MB), a few numbers for each pair that a block found (160 MB where all of it are pairs), one number
or two a product, and the `limit` best pairs: never all pairs.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from recommender.looks import Looks, Places

BLOCK_ROWS = 1024
DECIMALS = 5
"""Scores are rounded so before they are compared: float32 sums can't tell more, and a copy shall score 1."""

ROUNDING = 0.5 * 10.0**-DECIMALS
"""How far below a threshold a score may be that is rounded up to it."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two products by their places, the lesser first; `score` is the cosine of their best pair of rows.

    `rows` says which of each product's rows these are, from 0.
    """

    products: tuple[int, int]
    rows: tuple[int, int]
    score: float


@dataclass(frozen=True, slots=True)
class Group:
    """Products that pairs link, directly or through others; places in ascending order.

    `scores[i]` is the best score that the i-th has with any of the others, by its row `rows[i]`.
    """

    products: tuple[int, ...]
    rows: tuple[int, ...]
    scores: tuple[float, ...]

    @property
    def score(self) -> float:
        """What every product of the group has with another one of it, at least."""
        return min(self.scores)


@dataclass(frozen=True, slots=True)
class Duplicates:
    """What was found. `pairs` are the best ones, best first; `pair_count` counts all of them.

    `groups` are all groups, best first, then the larger ones.
    """

    pairs: tuple[Pair, ...]
    pair_count: int
    groups: tuple[Group, ...]


def find_duplicates(
    looks: Looks,
    *,
    min_score: float,
    limit: int,
    families: Places | None = None,
    advance: Callable[[int], None] = lambda _: None,
) -> Duplicates:
    """Compare all products with all others.

    Two products count once, by the best of their pairs of rows. A chain of pairs makes one group, so that
    its ends may be less alike than `min_score`.

    Args:
        looks: the products.
        min_score: least cosine of a pair.
        limit: pairs to keep, at most.
        families: (P,) the variant family of each product, negative for none; two of one family are no pair.
        advance: called after each of `step_count` steps.
    """
    products_of_rows = looks.products_of_rows
    members, links, kept, count = _Members(len(looks)), _Links(len(looks)), _BestPairs(limit), 0
    for found in _blocks_of_pairs(looks, min_score - ROUNDING):
        advance(1)
        pairs = _by_product(found, products_of_rows, families)
        if not len(pairs.scores):
            continue
        one, two = products_of_rows[pairs.first], products_of_rows[pairs.second]
        members.see(one, pairs.first, pairs.scores)
        members.see(two, pairs.second, pairs.scores)
        links.join(one, two)
        kept.add(pairs)
        count += len(pairs.scores)
    groups = [members.group(places, looks) for places in links.groups()]
    groups.sort(key=lambda group: (-group.score, -len(group.products), group.products))
    return Duplicates(tuple(_pair(*one, looks) for one in kept.best()), count, tuple(groups))


def step_count(looks: Looks) -> int:
    """How many steps a comparison of these products takes."""
    blocks = len(_blocks(looks))
    return blocks * (blocks + 1) // 2


@dataclass(frozen=True, slots=True)
class _Found:
    """Pairs of rows by their numbers, `first` below `second`, and their (N,) float32 scores."""

    first: Places
    second: Places
    scores: NDArray[np.float32]

    def __getitem__(self, which: NDArray[np.bool_] | Places) -> "_Found":
        return _Found(self.first[which], self.second[which], self.scores[which])


def _blocks(looks: Looks) -> list[tuple[int, int]]:
    """Where blocks of rows begin and end: whole products, so that two products meet in one block only."""
    bounds = [0]
    for end, following in zip(looks.starts[1:-1], looks.starts[2:], strict=True):
        if following - bounds[-1] > BLOCK_ROWS:
            bounds.append(int(end))
    ends = [*bounds[1:], int(looks.starts[-1])]
    return [(begin, end) for begin, end in zip(bounds, ends, strict=True) if end > begin]


def _blocks_of_pairs(looks: Looks, least: float) -> Iterator[_Found]:
    """The pairs of rows of at least this score, one pair of blocks after the other."""
    blocks = _blocks(looks)
    room = np.empty(max((end - begin for begin, end in blocks), default=0) ** 2, np.float32)
    for place, (begin, end) in enumerate(blocks):
        for other, last in blocks[place:]:
            shape = (end - begin, last - other)
            scores = room[: shape[0] * shape[1]].reshape(shape)
            np.matmul(looks.vectors[begin:end], looks.vectors[other:last].T, out=scores)
            hits = np.flatnonzero(scores >= least)
            first, second = np.divmod(hits, shape[1])
            found = scores.ravel()[hits].round(DECIMALS)
            yield _Found(first + begin, second + other, found.clip(-1, 1))  # rounding may leave [-1, 1]


def _by_product(found: _Found, products_of_rows: Places, families: Places | None) -> _Found:
    """One pair of rows for two products: the best, and of equals that of the first rows."""
    if not len(found.scores):
        return found
    one, two = products_of_rows[found.first], products_of_rows[found.second]
    wanted = one < two  # in a block with itself every pair occurs twice, and each product meets itself
    if families is not None:
        wanted &= (families[one] < 0) | (families[one] != families[two])
    found, one, two = found[wanted], one[wanted], two[wanted]
    order = np.lexsort((found.second, found.first, -found.scores, two, one))
    one, two = one[order], two[order]
    fresh = np.ones(len(order), bool)
    fresh[1:] = (one[1:] != one[:-1]) | (two[1:] != two[:-1])
    return found[order[fresh]]


class _Members:
    """The best pair of each product: its score, and the product's row in it."""

    def __init__(self, products: int) -> None:
        self._scores = np.full(products, -np.inf, np.float32)
        self._rows = np.zeros(products, np.int64)

    def see(self, products: Places, rows: Places, scores: NDArray[np.float32]) -> None:
        better = np.flatnonzero(scores > self._scores[products])
        better = better[np.argsort(scores[better], kind="stable")]  # of one product's, the last one stays
        self._scores[products[better]] = scores[better]
        self._rows[products[better]] = rows[better]

    def group(self, places: Places, looks: Looks) -> Group:
        rows = (self._rows[places] - looks.starts[places]).tolist()
        scores = [round(score, DECIMALS) for score in self._scores[places].tolist()]
        return Group(tuple(places.tolist()), tuple(rows), tuple(scores))


class _BestPairs:
    """The best pairs of all that were added, at most `limit`."""

    def __init__(self, limit: int) -> None:
        self._limit = limit
        self._found: list[_Found] = []

    def add(self, found: _Found) -> None:
        self._found.append(found)
        if sum(len(some.scores) for some in self._found) > 2 * max(self._limit, BLOCK_ROWS):
            self._found = [self._cut()]

    def best(self) -> Iterator[tuple[int, int, float]]:
        """Rows and score of each, best first."""
        if self._found:
            best = self._cut()
            yield from zip(best.first.tolist(), best.second.tolist(), best.scores.tolist(), strict=True)

    def _cut(self) -> _Found:
        every = _Found(
            np.concatenate([found.first for found in self._found]),
            np.concatenate([found.second for found in self._found]),
            np.concatenate([found.scores for found in self._found]),
        )
        return every[np.lexsort((every.second, every.first, -every.scores))[: self._limit]]


class _Links:
    """Which products are linked; each knows the first one of its group."""

    def __init__(self, products: int) -> None:
        self._roots = np.arange(products, dtype=np.int64)

    def join(self, one: Places, two: Places) -> None:
        """Link `one[i]` and `two[i]`, for every i."""
        while True:
            roots = self._roots[one], self._roots[two]
            apart = roots[0] != roots[1]
            if not apart.any():
                return
            lesser, greater = np.minimum(*roots)[apart], np.maximum(*roots)[apart]
            np.minimum.at(self._roots, greater, lesser)
            while not np.array_equal(self._roots, above := self._roots[self._roots]):
                self._roots = above

    def groups(self) -> list[Places]:
        """The places of every group of two or more, ascending."""
        order = np.argsort(self._roots, kind="stable")
        cuts = np.flatnonzero(np.diff(self._roots[order])) + 1
        return [places for places in np.split(order, cuts) if len(places) > 1]


def _pair(first: int, second: int, score: float, looks: Looks) -> Pair:
    one, two = np.searchsorted(looks.starts, (first, second), side="right") - 1
    rows = int(first - looks.starts[one]), int(second - looks.starts[two])
    return Pair((int(one), int(two)), rows, round(score, DECIMALS))
