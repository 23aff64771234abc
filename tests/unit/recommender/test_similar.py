from dataclasses import replace
from math import nan
from typing import Any

import pytest

from recommender.errors import InvalidQuery
from recommender.similar import MAX_PRODUCTS, Question, _check_bounds

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
        ("positive", {"positive": ()}),
        ("positive", {"positive": (), "negative": ("b",)}),
        ("positive", {"positive": ("a",) * (MAX_PRODUCTS + 1)}),
        ("negative", {"negative": ("a",) * (MAX_PRODUCTS + 1)}),
        ("text", {"text": "boots"}),
        ("text", {"positive": (), "text": " "}),
        ("text", {"positive": (), "text": "boots", "image": b"x"}),
    ],
)
def test_what_is_out_of_bounds_is_named(parameter: str, changes: dict[str, Any]) -> None:
    with pytest.raises(InvalidQuery) as caught:
        _check_bounds(replace(ASKED, **changes))
    assert caught.value.parameter == parameter


@pytest.mark.parametrize(
    "changes",
    [
        {},
        {"limit": 100, "offset": 900},
        {"min_score": -1.0, "diversity": 1.0},
        {"image": b"x", "image_url": "s3://b/k"},
        {"positive": (), "text": "boots", "negative": ("b",)},
    ],
)
def test_bounds_are_inclusive_and_images_may_be_mixed(changes: dict[str, Any]) -> None:
    _check_bounds(replace(ASKED, **changes))
