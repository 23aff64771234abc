"""The ladder: a filter is widened step by step while it leaves too little. Pure."""

from collections.abc import Iterator, Sequence
from dataclasses import replace

from recommender.catalog import Filter, Relaxation
from recommender.question import Step

PRICE_WIDENED = 0.25
"""How far each bound of a price moves, as a share of it."""


def ladder(where: Filter, steps: Sequence[Step]) -> Iterator[tuple[Filter, tuple[Relaxation, ...]]]:
    """The filter, then the filter after each step, with all that was relaxed so far.

    A step that finds nothing to relax is left out: no attribute, no price, or only categories of the top
    level. A step that is named twice is taken twice.
    """
    relaxed: tuple[Relaxation, ...] = ()
    yield where, relaxed
    for step in steps:
        wider, relaxation = _STEPS[step](where)
        if wider != where:
            where, relaxed = wider, (*relaxed, relaxation)
            yield where, relaxed


def _without_attributes(where: Filter) -> tuple[Filter, Relaxation]:
    dropped = tuple(dict.fromkeys((*where.attributes, *where.ranges)))
    return replace(where, attributes={}, ranges={}), Relaxation("attributes", dropped=dropped)


def _wider_price(where: Filter) -> tuple[Filter, Relaxation]:
    low = None if where.price_min is None else where.price_min * (1 - PRICE_WIDENED)
    high = None if where.price_max is None else where.price_max * (1 + PRICE_WIDENED)
    wider = replace(where, price_min=low, price_max=high)
    return wider, Relaxation("price", price_min=low, price_max=high)


def _parent_categories(where: Filter) -> tuple[Filter, Relaxation]:
    parents = tuple(dict.fromkeys(path.rpartition("/")[0] or path for path in where.category))
    return replace(where, category=parents), Relaxation("category", category=parents)


_STEPS = {"attributes": _without_attributes, "price": _wider_price, "category": _parent_categories}
