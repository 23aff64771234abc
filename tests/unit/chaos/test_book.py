"""The harness can fail: its book and its judge see what is lost, stale, resurrected or unexplained."""

import json
from typing import Any

import pytest

from tests.chaos.fold import Document, Event, fold
from tests.chaos.ledger import Cause, Ledger, read_letters
from tests.chaos.pictures import draw, embed
from tests.chaos.verdict import Rows, what_is_wrong

PICTURES = {"s3://shop/a.jpg": draw(1), "s3://shop/b.jpg": draw(2)}


def upsert(version: int, **fields: Any) -> Event:
    document = {"id": "p", "version": version, "images": list(PICTURES), "category": "home"} | fields
    return Event("products.upsert", document)


def patch(version: int, **fields: Any) -> Event:
    return Event("products.patch", {"id": "p", "version": version} | fields)


def delete(version: int) -> Event:
    return Event("products.delete", {"id": "p", "version": version})


def shown(document: Document) -> Document:
    """The API's answer for what is expected."""
    images = [{"uri": uri, "role": None, "row": row} for row, uri in enumerate(document["images"])]
    vectors = [embed(PICTURES[uri]).tolist() for uri in document["images"]]
    return document | {"images": images, "vectors": vectors, "searchable": True}


@pytest.mark.parametrize(
    ("events", "expected"),
    [
        (
            [patch(2, title="new"), upsert(1, title="old", price=1.0)],
            {"title": "new", "price": 1.0, "version": 2},
        ),
        ([patch(1, title="old"), upsert(2, title="new")], {"title": "new", "version": 2}),
        ([upsert(1, price=1.0), patch(2, price=None)], {"price": None}),
        ([upsert(1, in_stock=False), patch(2, in_stock=None)], {"in_stock": True}),
        (
            [upsert(1, attributes={"a": 1, "b": 2}), patch(2, attributes={"a": None, "c": 3})],
            {"attributes": {"b": 2, "c": 3}},
        ),
        (
            [upsert(1, attributes={"a": 1}), patch(3, attributes={"b": 2}), patch(2, attributes=None)],
            {"attributes": {"b": 2}},
        ),
        ([delete(1), upsert(2)], {"version": 2}),
    ],
)
def test_events_fold_in_the_order_of_their_versions(events: list[Event], expected: Document) -> None:
    found = fold(events)
    assert found is not None
    assert expected.items() <= found.items()


@pytest.mark.parametrize("events", [[delete(2), upsert(1)], [upsert(1), delete(2), patch(3, title="x")], []])
def test_what_is_deleted_or_unknown_must_not_be_found(events: list[Event]) -> None:
    assert fold(events) is None


def test_an_event_whose_publishing_failed_may_have_happened() -> None:
    ledger = Ledger()
    ledger.note("products.upsert", [upsert(1).document], held=True)
    ledger.note("products.delete", [delete(2).document], held=False)
    assert [state is None for state in ledger.may_be("p")] == [True, False]


def test_an_event_among_the_dead_letters_of_an_injected_cause_may_be_missing() -> None:
    ledger = Ledger()
    ledger.note("products.upsert", [upsert(1).document], held=True)
    states = list(ledger.may_be("p", frozenset({("p", 1)})))
    assert len(states) == 2
    assert None in states


def test_a_letter_without_an_injected_cause_and_a_cause_without_a_letter_are_seen() -> None:
    bad = {"reason": "InvalidEvent", "document": json.dumps({"id": "bad-1-", "version": 3}), "image": ""}
    causes = [Cause("bad-1-", frozenset({"InvalidEvent"})), Cause("bad-2-", frozenset({"InvalidEvent"}))]
    found = read_letters(causes, [bad, bad | {"document": json.dumps({"id": "healthy", "version": 1})}])
    assert found.excused == {("bad-1-", 3)}
    assert len(found.unexplained) == 1
    assert "healthy" in found.unexplained[0]
    assert len(found.missing) == 1
    assert "bad-2-" in found.missing[0]


def test_a_letter_of_another_reason_does_not_explain() -> None:
    cause = Cause("bad-1-", frozenset({"ImageNotFound"}))
    found = read_letters([cause], [{"reason": "DeliveredTooOften", "document": "bad-1-", "image": ""}])
    assert found.unexplained
    assert found.missing


def test_a_product_agrees_with_itself() -> None:
    expected = fold([upsert(1)])
    assert expected is not None
    assert Rows(PICTURES, set()).agree(shown(expected), expected)


@pytest.mark.parametrize(
    "change",
    [
        {"title": "another"},
        {"version": 7},
        {"vectors": [embed(draw(2)).tolist(), embed(draw(1)).tolist()]},
        {"vectors": [embed(draw(1)).tolist()]},
        {"searchable": False},
        {"images": []},
    ],
    ids=str,
)
def test_any_difference_is_seen(change: Document) -> None:
    expected = fold([upsert(1)])
    assert expected is not None
    assert not Rows(PICTURES, set()).agree(shown(expected) | change, expected)


def test_what_is_wrong_has_a_name() -> None:
    newer, older = fold([upsert(2)]), fold([upsert(1)])
    assert what_is_wrong(None, newer) == "lost"
    assert what_is_wrong(older, newer) == "lost"
    assert what_is_wrong(newer, older) == "stale"
    assert what_is_wrong(older, None) == "resurrected"
