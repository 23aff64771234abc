import pytest

from recommender.catalog import Filter, Range
from recommender.errors import InvalidQuery
from recommender.index.filters import Between, OneOf, PointIs, Where, at_revision, conditions
from recommender.index.schema import LIVE, SEARCHABLE, Schema

SCHEMA = Schema("shop", ("colour", "size"))


def test_no_condition_leaves_the_status() -> None:
    assert conditions(Filter(), SEARCHABLE, SCHEMA) == Where(must=(OneOf("status", ["searchable"]),))
    assert conditions(Filter(), LIVE, SCHEMA).must == (OneOf("status", ["searchable", "imageless"]),)


def test_duplicates_are_asked_for_or_left_out() -> None:
    flag = OneOf("duplicate", [1])
    assert conditions(Filter(duplicate=True), LIVE, SCHEMA).must[1:] == (flag,)
    assert conditions(Filter(duplicate=False), LIVE, SCHEMA).must_not == (flag,)


def test_every_condition_is_rendered_once() -> None:
    where = conditions(
        Filter(
            category=("women", "men"),
            brand=("Acme",),
            price_min=1.0,
            price_max=2.0,
            currency="EUR",
            in_stock=False,
            attributes={"colour": ("red", True), "size": ()},
            ranges={"size": Range(36, None)},
            exclude_ids=("a",),
            exclude_brands=("Zeta",),
            exclude_groups=("g",),
        ),
        SEARCHABLE,
        SCHEMA,
    )
    assert where.must[1:] == (
        OneOf("category", ["women", "men"]),
        OneOf("brand", ["Acme"]),
        Between("price", 1.0, 2.0),
        OneOf("currency", ["EUR"]),
        OneOf("in_stock", [0]),
        OneOf("attributes.colour", ["red", "true"]),
        Between("numbers.size", 36, None),
    )
    assert where.must_not == (
        PointIs((SCHEMA.point_id("a"),)),
        OneOf("brand", ["Zeta"]),
        OneOf("group_id", ["g"]),
    )


def test_a_price_bound_of_zero_is_a_bound() -> None:
    assert Between("price", None, 0.0) in conditions(Filter(price_max=0.0), SEARCHABLE, SCHEMA).must


def test_an_undeclared_attribute_is_refused_even_without_values() -> None:
    with pytest.raises(InvalidQuery, match=r"attributes\.secret"):
        conditions(Filter(attributes={"secret": ()}), SEARCHABLE, SCHEMA)
    with pytest.raises(InvalidQuery, match=r"attributes\.secret"):
        conditions(Filter(ranges={"secret": Range()}), SEARCHABLE, SCHEMA)


def test_revisions_are_compared_point_by_point() -> None:
    where = at_revision([("a", 1), ("b", 2)])
    assert where == Where(
        should=(
            Where(must=(PointIs(("a",)), OneOf("rev", [1]))),
            Where(must=(PointIs(("b",)), OneOf("rev", [2]))),
        )
    )
