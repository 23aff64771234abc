"""How a search finds its neighbours: the one place that chooses between exact search and a graph walk.

An engine's own choice is quick and quietly wrong. Its walk goes over points that pass the filter alone, so
that a narrow filter takes the graph apart, and a filter that follows looks (a category, the brands but the
seed's) leaves the walk in the wrong corner of it. Of 100,000 products of 1 to 3 images, the default walk
found 0.71 of the true ten under an AND that 4% pass, and 0.76 under a category that 20% pass; an exact search
over what passes was right in less time than any walk that was (docs/benchmarks-queries.md).

So a search is exact wherever that costs less than the walk that would be right:

| what passes | walk | exact instead, up to |
|---|---|---|
| everything | the plain graph, ef 100 | 3,200 products |
| half of the points or more | a wide one, ef 3,072 | 98,304 products |
| less | ACORN, which steps over what doesn't pass, ef 1,024 | 131,072 products |

A deeper page needs a wider walk and moves these bounds along. Without a graph, which the embedded engine has
only if something other than a serving process has built it, every search is exact, or compares the codes of
all that passes, where the storage has codes (storage.py).
"""

from dataclasses import dataclass, replace


@dataclass(frozen=True, slots=True)
class Strategy:
    """What an engine is told; each renders it in its own terms.

    `ef` is the beam of the walk, in points; None leaves it to the engine. `acorn` walks over neighbours
    of neighbours where those next to a point don't pass the filter.
    """

    name: str
    exact: bool = False
    acorn: bool = False
    ef: int | None = None


EXACT = Strategy("exact", exact=True)
CODES = Strategy("codes")
"""All that passes the filter, by the codes of a storage that has some."""


@dataclass(frozen=True, slots=True)
class _Walk:
    """A walk, and how many points an exact search compares in the time of one point of its beam."""

    name: str
    ef: int
    price: int
    acorn: bool = False


# Prices as measured at 100,000 x 512-d: a beam of 1,024 took as long as 35,000 exact comparisons, with ACORN
# 100,000 to 200,000. Where a fifth of all looks was excluded, a beam of 1,536 still found only 0.988.
_GRAPH = _Walk("graph", ef=100, price=32)
_WIDE = _Walk("wide", ef=3072, price=32)
_ACORN = _Walk("acorn", ef=1024, price=128, acorn=True)
_WIDE_FROM = 0.5
"""The share of the points that must pass for a walk to get through without ACORN."""
_FEW = 8
"""Excluded products that the plain walk gets around: without the 100 nearest it found 0.87."""


def choose(*, points: int, matching: int, excluded: int, wanted: int) -> Strategy:
    """The strategy for one search of a graph.

    Args:
        points: that can be found at all, about.
        matching: those that pass the filter, excluded products aside, about.
        excluded: products that are excluded one by one; they tend to be the nearest.
        wanted: neighbours to find.
    """
    if matching >= points and excluded <= _FEW:
        walk = _GRAPH
    else:
        walk = _WIDE if matching >= _WIDE_FROM * points else _ACORN
    walk = replace(walk, ef=max(walk.ef, 2 * (wanted + excluded)))
    if matching <= walk.ef * walk.price:
        return EXACT
    return Strategy(walk.name, acorn=walk.acorn, ef=walk.ef)
