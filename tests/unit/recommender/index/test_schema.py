import json
from typing import Any
from uuid import UUID

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from recommender.errors import InvalidQuery
from recommender.events import Delete, Patch, Upsert
from recommender.index.protocol import DuplicateOf, IndexedImage, Write
from recommender.index.schema import Schema, attribute_token, payload_of, stored_of
from recommender.merge import UNKNOWN, merge

SCHEMA = Schema("shop", ("colour",))
NO_ROWS = np.empty((0, 4), np.float32)
FOUND = (IndexedImage("s3://b/1.jpg", "etag", 0),)


untimed = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


def upsert(**fields: Any) -> Upsert:
    return Upsert(**{"id": "p", "version": 3, "images": ["s3://b/1.jpg"], "category": "a/b", **fields})


def payload(write: Write) -> dict[str, Any]:
    return payload_of(write, write_id="w", fingerprint="compact-1")


scalars = st.one_of(
    st.text(max_size=8), st.integers(), st.floats(allow_nan=False, allow_infinity=False), st.booleans()
)
values = st.one_of(scalars, st.lists(st.text(max_size=4), max_size=3))
keys = st.text(st.characters(exclude_categories=["Cc", "Cs"]), min_size=1, max_size=8)


@untimed
@given(st.dictionaries(keys, values, max_size=4), st.dictionaries(keys, st.none() | values, max_size=4))
def test_a_state_comes_back_exactly_through_json(attributes: dict[str, Any], changes: dict[str, Any]) -> None:
    event = upsert(
        title="é\u2028", price=0.1, images=[{"uri": "s3://b/1", "role": "front"}], attributes=attributes
    )
    state = merge(merge(UNKNOWN, event), Patch(id="p", version=4, attributes=changes, brand=None))
    write = Write("p", 6, state, FOUND, None)
    stored = stored_of(json.loads(json.dumps(payload(write))), None)
    assert (stored.id, stored.rev, stored.images) == ("p", 7, FOUND)
    assert stored.state == state
    assert _kinds_of_attributes(stored) == _kinds_of_attributes(write)


def _kinds_of_attributes(holder: Any) -> dict[str, type]:
    return {key: type(value) for key, value in holder.state.product.attributes.items()}


def test_a_duplicate_is_flagged_in_the_payload_and_comes_back() -> None:
    state = merge(UNKNOWN, upsert())
    flagged = payload(Write("p", 1, state, FOUND, None, DuplicateOf("q", 0.987654)))
    assert flagged["duplicate"] == 1
    assert stored_of(json.loads(json.dumps(flagged)), None).duplicate_of == DuplicateOf("q", 0.987654)
    plain = payload(Write("p", 1, state, FOUND, None))
    assert not {"duplicate", "duplicate_of"} & plain.keys()
    assert stored_of(plain, None).duplicate_of is None


def test_point_ids_are_uuids_of_the_catalog_and_the_product() -> None:
    ids = {Schema(catalog).point_id(product) for catalog in ("a", "b") for product in ("1", "2")}
    assert len(ids) == 4
    assert all(UUID(point_id).version == 5 for point_id in ids)
    assert SCHEMA.point_id("sku-1") == "32a48840-7f5e-5280-b615-ac394b12700f"


def test_filter_fields_are_those_of_the_merged_product() -> None:
    state = merge(
        merge(UNKNOWN, upsert(category=["a/b", "a/c"], brand="old", price=5, in_stock=False)),
        Patch(id="p", version=4, brand="new", attributes={"sizes": ("38", "39"), "vegan": True}),
    )
    said = payload(Write("p", None, state, FOUND, NO_ROWS))
    assert said["category"] == ["a", "a/b", "a/c"]
    assert (said["brand"], said["price"], said["in_stock"]) == ("new", 5.0, 0)
    assert said["attributes"] == {"sizes": ["38", "39"], "vegan": ["true"]}
    assert (said["rev"], said["version"], said["encoder"], said["schema"]) == (1, 4, "compact-1", 3)


def test_numbers_are_kept_as_numbers_too_and_so_are_texts_that_say_one() -> None:
    attributes = {
        "heel": 5.5,
        "sizes": ["38", "39.5", "one size", "1e3", "-2", "nan", "inf", "٣"],
        "vegan": True,
        "huge": 10**400,
        "colour": "red",
    }
    said = payload(Write("p", None, merge(UNKNOWN, upsert(attributes=attributes)), FOUND, NO_ROWS))
    assert said["numbers"] == {"heel": [5.5], "sizes": [38.0, 39.5, 1000.0, -2.0]}


def test_only_attributes_that_can_be_declared_become_payload_fields() -> None:
    odd = ["Größe", "shoe size", "care.wash", 'a"b', "a[0]", "colour.", "x" * 65]
    state = merge(UNKNOWN, upsert(attributes={"heel-mm": 40, **dict.fromkeys(odd, "1")}))
    said = payload(Write("p", None, state, FOUND, NO_ROWS))
    assert said["attributes"] == {"heel-mm": ["40"]}
    stored = stored_of(said, None).state.product
    assert stored is not None
    assert set(stored.attributes) == {"heel-mm", *odd}


def test_the_status_says_what_a_point_stands_for() -> None:
    failed = (IndexedImage("s3://b/1.jpg", None, None, "404"),)
    product = merge(UNKNOWN, upsert())
    tombstone = merge(UNKNOWN, Delete(id="p", version=1))
    stub = merge(UNKNOWN, Patch(id="p", version=1, title="T"))
    assert payload(Write("p", None, product, FOUND, None))["status"] == "searchable"
    assert payload(Write("p", None, product, failed, NO_ROWS))["status"] == "imageless"
    assert payload(Write("p", None, tombstone, (), NO_ROWS))["status"] == "deleted"
    assert payload(Write("p", None, stub, (), NO_ROWS))["status"] == "stub"
    assert "category" not in payload(Write("p", None, stub, (), NO_ROWS))


def test_flags_are_integers() -> None:
    said = payload(Write("p", None, merge(UNKNOWN, upsert()), FOUND, None))
    assert type(said["in_stock"]) is int
    assert not [value for value in said.values() if isinstance(value, bool)]


@pytest.mark.parametrize(
    ("value", "token"),
    [
        ("38", "38"),
        (38, "38"),
        (38.0, "38"),
        ("38.0", "38.0"),
        (5.5, "5.5"),
        (True, "true"),
        (False, "false"),
        (1, "1"),
        ("", ""),
    ],
)
def test_attributes_are_compared_as_text(value: Any, token: str) -> None:
    assert attribute_token(value) == token


def test_declared_attributes_are_indexed() -> None:
    assert SCHEMA.payload_indexes["attributes.colour"] == "keyword"
    assert SCHEMA.payload_indexes["numbers.colour"] == "float"
    declared = set(SCHEMA.payload_indexes) - set(Schema("shop").payload_indexes)
    assert declared == {"attributes.colour", "numbers.colour"}
    assert SCHEMA.attribute_field("colour") == "attributes.colour"
    with pytest.raises(
        InvalidQuery, match=r"attributes\.size: is not declared .*\(declared: colour\)"
    ) as refused:
        SCHEMA.attribute_field("size")
    assert refused.value.parameter == "attributes.size"


def test_collections_of_another_catalog_are_not_ours() -> None:
    assert SCHEMA.fingerprint(SCHEMA.collection("compact-1")) == "compact-1"
    assert SCHEMA.fingerprint(Schema("shop-eu").collection("compact-1")) is None
    assert SCHEMA.fingerprint("shop") is None
