"""What a product may say, in both forms of each field, and what it may not."""

from typing import Any

import pytest
from pydantic import ValidationError

from recommender.catalog import Product, category_ancestors


def product(**fields: Any) -> Product:
    document = {"id": "p", "version": 1, "images": ["s3://b/1.jpg"], "category": "a/b", **fields}
    return Product.model_validate(document)


@pytest.mark.parametrize("name", ["id", "version", "images", "category"])
def test_a_required_field_is_missed_by_name(name: str) -> None:
    document = {"id": "p", "version": 1, "images": ["s3://b/1.jpg"], "category": "a/b"}
    del document[name]
    with pytest.raises(ValidationError) as caught:
        Product.model_validate(document)
    assert [error["loc"] for error in caught.value.errors()] == [(name,)]


def test_an_image_is_a_uri_or_an_object() -> None:
    given: list[Any] = ["s3://b/1.jpg", {"uri": "https://h/2.jpg", "role": "back"}, {"uri": "file:///3"}]
    said = [(image.uri, image.role) for image in product(images=given).images]
    assert said == [("s3://b/1.jpg", None), ("https://h/2.jpg", "back"), ("file:///3", None)]


def test_a_category_is_a_path_or_a_list_of_paths() -> None:
    assert product(category="a/b").category == ("a/b",)
    assert product(category=["a/b", "c"]).category == ("a/b", "c")


@pytest.mark.parametrize(
    "fields",
    [
        {"id": "x" * 128},
        {"id": "a/b ä?#"},
        {"version": 0},
        {"version": 2**53 - 1},
        {"images": ["s3://b/1"] * 16},
        {"category": "a/b/c/d/e/f/g/h"},
        {"category": [str(n) for n in range(16)]},
        {"title": "x" * 1024},
        {"price": 0},
        {"price": 1e12},
        {"currency": "EUR"},
        {"attributes": {"Größe": 1, "shoe size": 1.5, "care.wash": True, "x" * 128: ["a"]}},
        {"attributes": {str(n): n for n in range(256)}},
        {"attributes": {"text": "x" * 4096, "list": ["x" * 4096] * 256}},
    ],
)
def test_what_is_within_bounds_is_kept(fields: dict[str, Any]) -> None:
    kept = product(**fields)
    for name, value in fields.items():
        if name in {"id", "version", "title", "price", "currency"}:
            assert getattr(kept, name) == value
        elif name == "attributes":
            assert {k: list(v) if isinstance(v, tuple) else v for k, v in kept.attributes.items()} == value


@pytest.mark.parametrize(
    "fields",
    [
        {"id": ""},
        {"id": "x" * 129},
        {"id": 1},
        {"id": "a\nb"},
        {"id": "a\x00"},
        {"id": "a\x7f"},
        {"id": "a\x85"},
        {"version": -1},
        {"version": 2**53},
        {"version": 1.5},
        {"version": "1"},
        {"version": True},
        {"images": []},
        {"images": ["s3://b/1"] * 17},
        {"images": "s3://b/1"},
        {"images": ["ftp://b/1"]},
        {"images": ["s3://b/\n"]},
        {"images": [{"uri": "s3://b/1", "alt": "x"}]},
        {"images": [{"role": "back"}]},
        {"images": [3]},
        {"category": ""},
        {"category": "a//b"},
        {"category": "/a"},
        {"category": "a/ /b"},
        {"category": "a/b/c/d/e/f/g/h/i"},
        {"category": []},
        {"category": ["a"] * 17},
        {"category": "x" * 513},
        {"title": "x" * 1025},
        {"title": 1},
        {"price": -0.01},
        {"price": float("nan")},
        {"price": float("inf")},
        {"price": "1"},
        {"currency": "eur"},
        {"currency": "EURO"},
        {"in_stock": 1},
        {"in_stock": "true"},
        {"group_id": ""},
        {"url": "x" * 2049},
        {"attributes": []},
        {"attributes": {"": "1"}},
        {"attributes": {"x" * 129: "1"}},
        {"attributes": {"a\tb": "1"}},
        {"attributes": {"\ud800": "1"}},
        {"attributes": {str(n): n for n in range(257)}},
        {"attributes": {"a": None}},
        {"attributes": {"a": "x" * 4097}},
        {"attributes": {"a": ["x" * 4097]}},
        {"attributes": {"a": ["x"] * 257}},
        {"attributes": {"a": [1]}},
        {"attributes": {"a": {}}},
        {"attributes": {"a": float("nan")}},
        {"attributes": {"a": "\ud800"}},
    ],
)
def test_what_is_out_of_bounds_is_refused_by_its_field(fields: dict[str, Any]) -> None:
    with pytest.raises(ValidationError) as caught:
        product(**fields)
    assert {error["loc"][0] for error in caught.value.errors()} == set(fields)


@pytest.mark.parametrize(
    "name", ["title", "brand", "price", "currency", "in_stock", "group_id", "url", "attributes"]
)
def test_an_optional_field_that_is_null_is_absent(name: str) -> None:
    assert product(**{name: None}) == product()
    assert product().in_stock is True


def test_an_attribute_keeps_its_type() -> None:
    given = {"a": True, "b": 1, "c": 1.0, "d": "1"}
    kept = product(attributes=given).attributes
    assert [type(value) for value in kept.values()] == [bool, int, float, str]


def test_ancestors_come_once_and_parents_first() -> None:
    assert category_ancestors(("a/b/c", "a/d")) == ["a", "a/b", "a/b/c", "a/d"]
