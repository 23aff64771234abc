from typing import Any

import pytest

from recommender.digest import digest_of
from recommender.events import parse_product_event

DOCUMENT: dict[str, Any] = {
    "id": "sku-1",
    "version": 7,
    "images": ["s3://shop/a.jpg", {"uri": "s3://shop/b.jpg", "role": "back"}],
    "category": "women/shoes",
    "title": "Boot",
    "price": 90,
    "attributes": {"sizes": ["38", "39"], "colour": "black"},
}


@pytest.mark.parametrize(
    "otherwise",
    [
        {"version": 8},
        {"trace_id": "t"},
        {"category": ["women/shoes"]},
        {"price": 90.0},
        {"in_stock": True},
        {"in_stock": None},
        {"brand": None},
        {"images": [{"uri": "s3://shop/a.jpg"}, {"role": "back", "uri": "s3://shop/b.jpg"}]},
        {"attributes": {"colour": "black", "sizes": ["38", "39"]}},
    ],
)
def test_what_says_the_same_has_the_same_digest(otherwise: dict[str, Any]) -> None:
    assert digest_of(DOCUMENT | otherwise) == digest_of(DOCUMENT)


@pytest.mark.parametrize(
    "changed",
    [
        {"id": "sku-2"},
        {"title": "boot"},
        {"price": 90.5},
        {"in_stock": False},
        {"images": ["s3://shop/a.jpg"]},
        {"images": ["s3://shop/a.jpg", "s3://shop/b.jpg"]},
        {"category": ["women/shoes", "sale"]},
        {"attributes": {"sizes": ["39", "38"], "colour": "black"}},
        {"brand": "Acme"},
    ],
)
def test_what_says_something_else_has_another_digest(changed: dict[str, Any]) -> None:
    assert digest_of(DOCUMENT | changed) != digest_of(DOCUMENT)


def test_a_document_as_it_is_written_has_the_digest_of_the_product_it_stands_for() -> None:
    product = parse_product_event("products.upsert", DOCUMENT)
    assert digest_of(product.model_dump(mode="json")) == digest_of(DOCUMENT)
    assert digest_of(product.model_dump(mode="json", exclude_defaults=True)) == digest_of(DOCUMENT)
    assert len(digest_of(DOCUMENT)) == 16
