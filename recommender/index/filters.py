"""Which points a read or a write means: conditions as data, which each engine renders in its own terms."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from recommender.catalog import Filter
from recommender.index.schema import Schema, attribute_token


@dataclass(frozen=True, slots=True)
class OneOf:
    """The field is, or as a list contains, one of the values: all text, or all integers."""

    field: str
    values: list[str] | list[int]


@dataclass(frozen=True, slots=True)
class Between:
    """The field is a number within the bounds, both inclusive; None leaves a side open."""

    field: str
    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class PointIs:
    """The point's id is one of these."""

    ids: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Where:
    """All of `must`, none of `must_not`, and at least one of `should` if there are any."""

    must: "tuple[Condition, ...]" = ()
    must_not: "tuple[Condition, ...]" = ()
    should: "tuple[Condition, ...]" = ()


Condition = OneOf | Between | PointIs | Where

_DUPLICATE = OneOf("duplicate", [1])


def conditions(filter_: Filter, status: tuple[str, ...], schema: Schema) -> Where:
    """Points of this status whose product passes the filter.

    Raises:
        InvalidQuery: the filter names an attribute that is not declared.
    """
    return Where(
        must=(OneOf("status", list(status)), *_wanted(filter_, schema)),
        must_not=tuple(_unwanted(filter_, schema)),
    )


def at_revision(expected: Iterable[tuple[str, int]]) -> Where:
    """Points (by id) that still have the revision which was read: the compare of compare-and-swap."""
    return Where(
        should=tuple(Where(must=(PointIs((point_id,)), OneOf("rev", [rev]))) for point_id, rev in expected)
    )


def _wanted(filter_: Filter, schema: Schema) -> Iterator[Condition]:
    if filter_.category:
        yield OneOf("category", list(filter_.category))
    if filter_.brand:
        yield OneOf("brand", list(filter_.brand))
    if filter_.price_min is not None or filter_.price_max is not None:
        yield Between("price", filter_.price_min, filter_.price_max)
    if filter_.currency is not None:
        yield OneOf("currency", [filter_.currency])
    if filter_.in_stock is not None:
        yield OneOf("in_stock", [int(filter_.in_stock)])
    if filter_.duplicate:
        yield _DUPLICATE
    for key, values in filter_.attributes.items():
        field = schema.attribute_field(key)
        if values:
            yield OneOf(field, [attribute_token(value) for value in values])
    for key, bounds in filter_.ranges.items():
        yield Between(schema.number_field(key), bounds.low, bounds.high)


def _unwanted(filter_: Filter, schema: Schema) -> Iterator[Condition]:
    if filter_.exclude_ids:
        yield PointIs(tuple(schema.point_id(product_id) for product_id in filter_.exclude_ids))
    if filter_.exclude_brands:
        yield OneOf("brand", list(filter_.exclude_brands))
    if filter_.exclude_groups:
        yield OneOf("group_id", list(filter_.exclude_groups))
    if filter_.duplicate is False:
        yield _DUPLICATE
