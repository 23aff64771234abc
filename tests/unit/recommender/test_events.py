"""The wire format: what each event type accepts and refuses, and the schema that says so."""

from typing import Any

import jsonschema
import pytest

from recommender.errors import InvalidEvent
from recommender.events import (
    CATALOG_JOBS,
    EVENT_TYPES,
    MAX_DOCUMENTS,
    PRODUCT_EVENTS,
    Delete,
    Patch,
    check_documents,
    digest,
    json_schema,
    parse_catalog_job,
    parse_product_event,
)

BOOT: dict[str, Any] = {
    "id": "sku-123",
    "version": 1732350000000,
    "images": ["s3://shop-images/sku-123/front.jpg"],
    "category": "women/shoes/boots",
    "title": "Ankle boot",
    "brand": "Acme",
    "price": 89.9,
    "currency": "EUR",
    "in_stock": True,
    "group_id": "style-77",
    "url": "https://shop.example/p/sku-123",
    "attributes": {"colour": "black", "sizes": ["38", "39"]},
}
NAMED = {"id": "sku-123", "version": 1}

GOOD: list[tuple[str, dict[str, Any]]] = [
    ("products.upsert", BOOT),
    ("products.upsert", {**BOOT, "trace_id": "abc"}),
    ("products.upsert", {**BOOT, "category": ["women/shoes", "sale"]}),
    ("products.upsert", {**BOOT, "images": ["s3://b/1", {"uri": "https://h/2", "role": "back"}]}),
    ("products.upsert", {**BOOT, "attributes": None, "in_stock": None, "title": None, "price": None}),
    ("products.upsert", {**BOOT, "attributes": {"Größe": 38, "shoe size": 1.5, "care.wash": True}}),
    ("products.patch", {**NAMED, "price": 79}),
    ("products.patch", {**NAMED, "title": None, "in_stock": None, "attributes": {"colour": None, "n": 1}}),
    ("products.patch", {**NAMED, "attributes": None}),
    ("products.delete", NAMED),
    ("products.delete", {**NAMED, "trace_id": "abc"}),
    ("catalog.refresh", {"feed": "s3://shop/feed.jsonl"}),
    ("catalog.reindex", {}),
    ("catalog.reindex", {"encoder": None, "scope": None}),
    ("catalog.reindex", {"encoder": "resnet50", "scope": {"category": "women/shoes"}}),
    ("catalog.reindex", {"scope": {"ids": ["sku-123", "sku-124"]}}),
    ("catalog.reindex", {"encoder": "resnet50", "drop_old": True, "dry_run": False}),
    ("catalog.rollback", {}),
    ("catalog.rollback", {"drop_old": True}),
    ("catalog.drop_old", {}),
]
BAD: list[tuple[str, dict[str, Any], str]] = [
    ("products.upsert", {**BOOT, "colour": "black"}, "colour"),
    ("products.upsert", {**BOOT, "version": 2**53}, "version"),
    ("products.upsert", {**BOOT, "images": []}, "images"),
    ("products.upsert", {**BOOT, "images": ["ftp://host/1.jpg"]}, "images.0"),
    ("products.upsert", {**BOOT, "images": ["s3://b/1"] * 17}, "images"),
    ("products.upsert", {**BOOT, "images": "s3://b/1"}, "images"),
    ("products.upsert", {**BOOT, "category": []}, "category"),
    ("products.upsert", {**BOOT, "category": 3}, "category"),
    ("products.upsert", {**BOOT, "category": "x" * 513}, "category"),
    ("products.upsert", {**BOOT, "category": None}, "category"),
    ("products.upsert", {**BOOT, "currency": "euro"}, "currency"),
    ("products.upsert", {**BOOT, "attributes": {"colour": None}}, "attributes.colour"),
    ("products.upsert", {**BOOT, "attributes": {"colour": "x" * 4097}}, "attributes.colour"),
    ("products.upsert", {"id": "p", "version": 1, "category": "a"}, "images"),
    ("products.patch", NAMED, ""),
    ("products.patch", {**NAMED, "trace_id": "abc"}, ""),
    ("products.patch", {**NAMED, "images": ["s3://b/1"]}, "images"),
    ("products.patch", {**NAMED, "category": "a"}, "category"),
    ("products.patch", {**NAMED, "price": -1}, "price"),
    ("products.delete", {"id": "p"}, "version"),
    ("products.delete", {**NAMED, "price": 1}, "price"),
    ("catalog.refresh", {}, "feed"),
    ("catalog.refresh", {"feed": "feed.jsonl"}, "feed"),
    ("catalog.reindex", {"encoder": ""}, "encoder"),
    ("catalog.reindex", {"scope": {"ids": []}}, "scope"),
    ("catalog.reindex", {"scope": {"ids": ["p"], "category": "a"}}, "scope"),
    ("catalog.reindex", {"scope": "women"}, "scope"),
    ("catalog.reindex", {"drop_old": 1}, "drop_old"),
    ("catalog.rollback", {"drop_old": None}, "drop_old"),
    ("catalog.drop_old", {"collection": "compact-0123456789ab"}, "collection"),
]


def parse(event_type: str, document: Any) -> Any:
    parse_ = parse_product_event if event_type in PRODUCT_EVENTS else parse_catalog_job
    return parse_(event_type, document)


def complaints(event_type: str, document: Any) -> list[Any]:
    told = {event_type: [document] if event_type in PRODUCT_EVENTS else document}
    return list(jsonschema.Draft202012Validator(json_schema()).iter_errors(told))


@pytest.mark.parametrize(("event_type", "document"), GOOD)
def test_what_the_wire_format_shows_is_parsed_and_fits_the_schema(
    event_type: str, document: dict[str, Any]
) -> None:
    assert type(parse(event_type, document)) is {**PRODUCT_EVENTS, **CATALOG_JOBS}[event_type]
    assert complaints(event_type, document) == []


@pytest.mark.parametrize(("event_type", "document", "named"), BAD)
def test_what_breaks_it_is_refused_by_name_and_by_the_schema(
    event_type: str, document: dict[str, Any], named: str
) -> None:
    with pytest.raises(InvalidEvent) as caught:
        parse(event_type, document)
    assert caught.value.field.startswith(named)
    assert bool(named) == bool(caught.value.field)
    assert complaints(event_type, document)


def test_the_schema_is_one_and_names_every_event() -> None:
    schema = json_schema()
    jsonschema.Draft202012Validator.check_schema(schema)
    assert tuple(schema["properties"]) == EVENT_TYPES
    assert complaints("products.delete", "p")
    too_many = {"products.delete": [NAMED] * (MAX_DOCUMENTS + 1)}
    assert not jsonschema.Draft202012Validator(schema).is_valid(too_many)
    assert not jsonschema.Draft202012Validator(schema).is_valid({"products.delete": []})


def test_a_category_in_the_schema_is_a_path_or_a_list_of_them() -> None:
    category = json_schema()["$defs"]["Upsert"]["properties"]["category"]
    path = {"type": "string", "maxLength": 512}
    assert category["anyOf"] == [path, {"type": "array", "items": path, "minItems": 1, "maxItems": 16}]
    assert not {"maxLength", "minLength", "maxItems", "minItems"} & set(category)


def test_the_message_names_every_field_at_fault() -> None:
    with pytest.raises(InvalidEvent, match=r"version: .*; colour: "):
        parse("products.delete", {"id": "p", "version": -1, "colour": "x"})


def test_a_control_character_in_an_id_is_refused() -> None:
    for character in "\x00\n\x1f\x7f\x9f":
        with pytest.raises(InvalidEvent, match="id: must not contain control characters"):
            parse("products.delete", {"id": f"a{character}", "version": 1})


def test_a_patch_knows_null_from_absent() -> None:
    patch = parse("products.patch", {**NAMED, "title": None, "attributes": {"colour": None}})
    assert patch.model_fields_set == {"id", "version", "title", "attributes"}
    assert patch.attributes == {"colour": None}


@pytest.mark.parametrize(
    ("event_type", "document"),
    [("products.rename", {}), ("catalog.reindex", {}), ("products.upsert", []), ("products.upsert", None)],
)
def test_what_is_no_product_event_is_refused(event_type: str, document: Any) -> None:
    with pytest.raises(InvalidEvent):
        parse_product_event(event_type, document)


@pytest.mark.parametrize(("event_type", "arguments"), [("products.upsert", BOOT), ("catalog.refresh", [])])
def test_what_is_no_catalog_job_is_refused(event_type: str, arguments: Any) -> None:
    with pytest.raises(InvalidEvent):
        parse_catalog_job(event_type, arguments)


def test_a_message_holds_one_to_256_documents() -> None:
    for count in (1, MAX_DOCUMENTS):
        assert len(check_documents([NAMED] * count)) == count
    for documents, told in (
        ([], "0"),
        ([NAMED] * (MAX_DOCUMENTS + 1), "257"),
        (NAMED, "dict"),
        (None, "NoneType"),
    ):
        with pytest.raises(InvalidEvent, match=f"1 to 256 documents, got {told}"):
            check_documents(documents)


def test_the_digest_ignores_the_trace_and_the_order_of_keys() -> None:
    said = digest(parse("products.upsert", BOOT))
    attributes = dict(reversed(BOOT["attributes"].items()))
    turned = {**dict(reversed(BOOT.items())), "attributes": attributes, "trace_id": "abc"}
    assert digest(parse("products.upsert", turned)) == said
    assert digest(parse("products.upsert", {**BOOT, "category": ["women/shoes/boots"]})) == said
    assert digest(parse("products.upsert", {**BOOT, "price": 90})) != said


def test_the_digest_of_a_patch_is_of_the_fields_it_names() -> None:
    assert digest(Patch(id="p", version=1, price=1)) != digest(Patch(id="p", version=1, price=1, title=None))
    assert digest(Delete(id="p", version=1)) == digest(Delete(id="p", version=1, trace_id="abc"))
