import base64
import json
from typing import Any

import pytest

from recommender.errors import ImageNotFound, InvalidEvent
from worker.jobs.dead_letters import DeadLetter

PRODUCT = {"id": "a", "version": 1}
MISSING = ImageNotFound("s3://b/a.jpg", "404")
SEEN = "2026-01-01T00:00:00.000+00:00"


def letter(document: Any = PRODUCT, error: Exception = MISSING, **known: Any) -> DeadLetter:
    return DeadLetter.of(known.pop("type", "products.upsert"), document, error, **known)


def test_the_cause_is_the_document_its_image_and_the_reason() -> None:
    cause = letter(image="x").cause
    again = [
        letter({"version": 1, "id": "a", "trace_id": "another"}, image="x", attempts=9, first_seen=SEEN),
        letter(error=ImageNotFound("s3://b/a.jpg", "403"), image="x"),
    ]
    assert {one.cause for one in again} == {cause}
    others = [
        letter(image="y"),
        letter(image="x", type="products.patch"),
        letter({"id": "a", "version": 2}, image="x"),
        letter({"id": "a", "version": 1, "price": 1.0}, image="x"),
        letter(error=InvalidEvent("", "404"), image="x"),
        letter("text", image="x"),
    ]
    assert len({cause, *(one.cause for one in others)}) == 1 + len(others)


@pytest.mark.parametrize("document", ["[" * 100_000, '"\\ud800"', "\ud800", "\x00", "9" * 5000, "NaN", ""])
def test_any_text_has_a_cause_and_names_no_product(document: str) -> None:
    assert letter(document).cause == letter(document).cause
    assert letter(document).products == ()
    assert letter(document).product == ""


def test_a_document_at_the_limit_of_nesting_has_a_cause() -> None:
    for depth in range(850, 1000):
        assert letter('{"a":' * depth + "1" + "}" * depth).cause


def envelope(payload: Any) -> dict[str, Any]:
    return {
        "body": base64.b64encode(json.dumps(payload).encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {},
        "properties": {"body_encoding": "base64"},
    }


@pytest.mark.parametrize(
    ("document", "products"),
    [
        (PRODUCT, ("a",)),
        (envelope([[[PRODUCT, {"id": "b"}, 3, {"id": 7}]], {}, {}]), ("a", "b")),
        ([[[PRODUCT]], {}, {}], ("a",)),
        ({"id": "\ud800"}, ("?",)),
        (envelope([[], {}, {}]), ()),
        (envelope([[3], {}, {}]), ()),
        (envelope("text"), ()),
        ([PRODUCT], ()),
        ({"feed": "s3://b/f"}, ()),
    ],
)
def test_the_products_are_those_of_the_document_or_of_the_message(
    document: Any, products: tuple[str, ...]
) -> None:
    assert letter(document).products == products


def test_people_read_one_product_and_how_many_more() -> None:
    assert letter().product == "a"
    assert letter(envelope([[[{"id": i} for i in "abc"]], {}, {}])).product == "a (+2)"


def test_an_entry_that_others_wrote_is_read_as_far_as_it_goes() -> None:
    read = DeadLetter.read("1767225600000-3", {"reason": "Odd", "attempts": "many", "last_seen": "today"})
    assert (read.id, read.reason, read.document, read.attempts) == ("1767225600000-3", "Odd", "", 1)
    assert (read.first_seen, read.last_seen) == (SEEN, SEEN)
