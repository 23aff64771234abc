from dataclasses import replace
from math import nan
from typing import Any

import pytest

from recommender.catalog import Filter, Range
from recommender.errors import InvalidQuery
from recommender.question import MAX_PRODUCTS, Question, Weighted, check_filter, check_question

ASKED = Question(positive=("a",))


@pytest.mark.parametrize(
    ("parameter", "changes"),
    [
        ("limit", {"limit": 0}),
        ("limit", {"limit": 101}),
        ("offset", {"offset": -1}),
        ("offset", {"offset": 901, "limit": 100}),
        ("min_score", {"min_score": 1.01}),
        ("min_score", {"min_score": nan}),
        ("diversity", {"diversity": -0.1}),
        ("diversity", {"diversity": nan}),
        ("text_weight", {"text_weight": 1.1}),
        ("brand_cap", {"brand_cap": 0}),
        ("price_within", {"price_within": -0.1}),
        ("price_within", {"price_within": nan}),
        ("positive", {"positive": ()}),
        ("positive", {"positive": (), "negative": ("b",)}),
        ("positive", {"positive": tuple(map(str, range(MAX_PRODUCTS + 1)))}),
        ("positive", {"positive": ("a", Weighted("a", 0.5))}),
        ("positive", {"positive": (Weighted("a", 0),)}),
        ("negative", {"negative": (Weighted("b", 1.5),)}),
        ("negative", {"negative": (Weighted("b", nan),)}),
        ("negative", {"negative": tuple(map(str, range(MAX_PRODUCTS + 1)))}),
        ("negative", {"positive": (), "text": "boots", "negative": ("b",)}),
        ("text", {"positive": (), "text": " "}),
        ("not_dearer", {"positive": (), "image": b"x", "not_dearer": True}),
        ("seed_brand", {"positive": (), "image": b"x", "seed_brand": "same"}),
        ("exclude_family", {"positive": (), "image": b"x", "exclude_family": True}),
        ("price_within", {"positive": (), "image": b"x", "price_within": 0.2}),
    ],
)
def test_what_is_out_of_bounds_is_named(parameter: str, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidQuery) as caught:
        check_question(replace(ASKED, **changes))
    assert caught.value.parameter == parameter


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"limit": 100, "offset": 900},
        {"min_score": -1.0, "diversity": 1.0, "text_weight": 0.0, "price_within": 10.0},
        {"image": b"x", "image_url": "s3://b/k", "text": "in red"},
        {"positive": (), "text": "boots"},
        {"positive": (), "image": b"x", "text": "boots", "negative": ("b",)},
        {"positive": (Weighted("a", 0.2), "b"), "negative": ("a",)},
    ],
)
def test_bounds_are_inclusive_and_texts_may_be_mixed_in(changes: dict[str, Any]) -> None:
    check_question(replace(ASKED, **changes))


def test_products_are_named_once() -> None:
    question = Question(positive=("a", Weighted("b", 0.5)), negative=("b", "c"))
    assert question.liked == (Weighted("a"), Weighted("b", 0.5))
    assert question.ids == ["a", "b", "c"]
    assert Question(positive=("a", "a", Weighted("a"))).liked == (Weighted("a"),)


@pytest.mark.parametrize(
    ("where", "parameter"),
    [
        (Filter(attributes={"heel": ("1",)}), "attr.heel"),
        (Filter(ranges={"heel": Range(1, 2)}), "attr.heel"),
        (Filter(price_min=2, price_max=1), "price_min"),
        (Filter(ranges={"colour": Range(2, 1)}), "attr.colour.min"),
    ],
)
def test_a_filter_that_says_nothing_sensible_is_named(where: Filter, parameter: str) -> None:
    with pytest.raises(InvalidQuery) as caught:
        check_filter(where, ("colour",))
    assert caught.value.parameter == parameter
