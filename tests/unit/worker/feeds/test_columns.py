import json
from pathlib import Path
from typing import Any

import pytest
from pydantic import ValidationError

from config.feed import FeedSettings
from recommender.errors import FeedError
from recommender.events import Upsert, parse_product_event
from worker.feeds.columns import Columns
from worker.feeds.record import Place

SHOP = {
    "id": "sku",
    "version": "updated_at",
    "images": "image_urls",
    "category": "path",
    "group_id": "style",
    "attributes.colour": "color",
}
ROW = {
    "sku": "sku-1",
    "updated_at": "2024-01-01T00:00:00Z",
    "image_urls": "s3://b/1.jpg|s3://b/2.jpg",
    "path": "women/shoes",
    "style": "77",
    "color": "black",
    "price": "89.90",
    "id": "internal",
    "warehouse": "9",
    "attributes.season": "summer",
}
DOCUMENT = {
    "id": "sku-1",
    "version": 1_704_067_200_000,
    "images": ["s3://b/1.jpg", "s3://b/2.jpg"],
    "category": ["women/shoes"],
    "group_id": "77",
    "price": 89.9,
    "attributes": {"colour": "black", "season": "summer"},
}


def columns(mapping: dict[str, str], modified_ms: int | None = None) -> Columns:
    return Columns(FeedSettings(columns=mapping), modified_ms)


def test_a_row_by_the_shop_s_names() -> None:
    record = columns(SHOP).of_table(list(ROW), "feed")(ROW, 1, Place(), "feed")
    assert record.error is None
    assert record.document == DOCUMENT
    assert parse_product_event("products.upsert", record.document)
    assert json.loads(record.text) == ROW


def test_a_json_object_by_the_shop_s_names(folder: Path, read: Any) -> None:
    row = {**ROW, "price": 89.9, "attributes": {"size": 38}}
    (folder / "f.jsonl").write_text(json.dumps(row))
    (record,) = read("f.jsonl", columns=SHOP)
    assert record.document == {**DOCUMENT, "attributes": {"colour": "black", "size": 38}}


def test_a_column_that_is_mapped_is_not_taken_for_the_field_of_its_name() -> None:
    mapping = {**SHOP, "attributes.title": "title"}
    record = columns(mapping).of_table([*ROW, "title"], "feed")({**ROW, "title": "x"}, 1, Place(), "feed")
    assert record.document is not None
    assert "title" not in record.document
    assert record.document["attributes"]["title"] == "x"


@pytest.mark.parametrize("nothing", [None, "", float("nan")])
def test_an_empty_cell_is_no_value(nothing: Any) -> None:
    row = {**ROW, "price": nothing, "color": nothing}
    record = columns(SHOP).of_table(list(row), "feed")(row, 1, Place(), "feed")
    assert record.document is not None
    assert "price" not in record.document
    assert record.document["attributes"] == {"season": "summer"}


def test_a_value_that_is_refused_names_its_column_and_keeps_the_id() -> None:
    row = {**ROW, "updated_at": "yesterday"}
    record = columns(SHOP).of_table(list(row), "feed.csv")(row, 7, Place(), "feed.csv")
    assert (record.document, record.id) == (None, "sku-1")
    assert record.error is not None
    complaint = record.complaint(record.error)
    assert complaint.field == "version"
    assert "feed.csv record 7: version: column 'updated_at': 'yesterday' is neither" in str(complaint)


@pytest.mark.parametrize(
    ("names", "said"),
    [
        (["sku", "updated_at", "image_urls", "path", "style"], "no column 'color', only 'sku'"),
        ([*ROW, "sku"], "column 'sku' is there twice"),
    ],
)
def test_columns_that_a_table_lacks_are_named(names: list[str], said: str) -> None:
    with pytest.raises(FeedError, match=said):
        columns(SHOP).of_table(names, "feed")


def test_what_a_product_needs_has_a_column() -> None:
    with pytest.raises(FeedError, match="no column 'category', 'images', only 'id', 'title'"):
        columns({}, 5).of_table(["id", "title"], "feed")


def test_a_table_without_versions_has_that_of_its_feed() -> None:
    names = ["id", "images", "category"]
    row = dict(zip(names, ("a", "s3://b/a.jpg", "c"), strict=True))
    record = columns({}, 5).of_table(names, "feed")(row, 1, Place(), "feed")
    assert record.document is not None
    assert record.document["version"] == 5
    with pytest.raises(FeedError, match="no version"):
        columns({}).of_table(names, "feed")


def test_an_empty_version_is_not_that_of_the_feed() -> None:
    row = {**ROW, "updated_at": ""}
    record = columns(SHOP, 5).of_table(list(row), "feed")(row, 1, Place(), "feed")
    assert record.document is not None
    assert "version" not in record.document


@pytest.mark.parametrize("mapping", [{}, {"id": "sku"}])
def test_an_object_without_a_version_where_nobody_knows_the_feed_s_time(mapping: dict[str, str]) -> None:
    record = columns(mapping).of_json()({"id": "a", "sku": "a"}, 1, Place(), "feed", b"{}")
    assert (record.document, record.id) == (None, "a")
    assert record.error is not None
    assert record.error.field == "version"


def test_every_field_can_be_mapped_and_nothing_else() -> None:
    assert FeedSettings(columns=dict.fromkeys(Upsert.model_fields, "x")).columns
    for name in ("colour", "attributes.", "ids", ""):
        with pytest.raises(ValidationError):
            FeedSettings(columns={name: "x"})
