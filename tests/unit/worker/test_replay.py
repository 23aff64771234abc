import base64
import json
from typing import Any

import pytest

from recommender.errors import InvalidEvent
from worker.jobs.dead_letters import DeadLetter
from worker.publish import ATTEMPTS, FIRST_SEEN
from worker.replay import replay_message

PRODUCT = {"id": "a", "version": 1}


def letter(document: Any, event_type: str = "products.upsert") -> DeadLetter:
    return DeadLetter.of(event_type, document, ValueError())


def envelope(payload: Any, **fields: Any) -> dict[str, Any]:
    return {
        "body": base64.b64encode(json.dumps(payload).encode()).decode(),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": "products.upsert", "id": "7"},
        "properties": {"body_encoding": "base64", "delivery_info": {"routing_key": "bulk"}},
    } | fields


def test_a_document_is_published_as_one() -> None:
    message = replay_message(letter(PRODUCT))
    assert (message.type, message.args, message.kwargs) == ("products.upsert", [[PRODUCT]], None)
    assert (message.queue, message.id) == ("bulk", None)


def test_a_job_keeps_its_arguments_and_its_queue() -> None:
    message = replay_message(letter({"feed": "s3://b/f"}, "catalog.refresh"))
    assert (message.type, message.args, message.kwargs) == ("catalog.refresh", (), {"feed": "s3://b/f"})
    assert message.queue == "catalog"


def test_attempts_and_first_seen_count_on() -> None:
    seen = "2026-01-01T00:00:00.000+00:00"
    for document in (PRODUCT, envelope([[[PRODUCT]], {}, {}])):
        old = DeadLetter.of("products.upsert", document, ValueError(), attempts=4, first_seen=seen)
        assert replay_message(old).headers == {ATTEMPTS: 4, FIRST_SEEN: seen}


def test_a_body_without_its_message_is_published_with_its_type() -> None:
    message = replay_message(letter([[[PRODUCT]], {"k": 1}, None]))
    assert (message.type, message.args, message.kwargs) == ("products.upsert", [[PRODUCT]], {"k": 1})
    assert message.queue == "bulk"


@pytest.mark.parametrize("event_type", ["products.upsert", ""])
def test_a_whole_message_is_published_as_it_was(event_type: str) -> None:
    message = replay_message(letter(envelope([[[PRODUCT]], {"k": 1}, {}]), event_type))
    assert (message.type, message.args, message.kwargs) == ("products.upsert", [[PRODUCT]], {"k": 1})
    assert (message.queue, message.id) == ("bulk", None)
    plain = envelope(None, body=json.dumps([[], {"feed": "s3://b/f"}, {}]), properties={})
    plain["headers"] = {"task": "catalog.refresh"}
    message = replay_message(letter(plain))
    assert (message.type, message.kwargs) == ("catalog.refresh", {"feed": "s3://b/f"})
    assert (message.queue, message.id) == (None, None)


@pytest.mark.parametrize(
    ("document", "complaint"),
    [
        ("text", "no document"),
        ("[" * 100_000, "no document"),
        ([PRODUCT], "no document"),
        (envelope([[], {}, {}], headers={"task": "products.unknown"}), "products.unknown"),
        (envelope([[], {}, {}], headers={}), "no task"),
        (envelope([[], {}, {}], headers=[]), "headers"),
        ('{"id": "a\ufffd", "version": 1}', "no UTF-8"),
        ([[], {}, {}, {}], "no document"),
        ([{}, {}, {}], "args, kwargs"),
        (envelope([[], {}]), "args, kwargs"),
        (envelope([{}, {}, {}]), "args, kwargs"),
        (envelope(None, body="a"), "not JSON"),
        (envelope(None, body=1), "not JSON"),
        (envelope(None, body="[" * 100_000, properties={}), "not JSON"),
        (envelope([[], {}, {}], **{"content-type": "application/x-python-serialize"}), "not JSON"),
    ],
)
def test_what_can_not_be_published_is_refused(document: Any, complaint: str) -> None:
    with pytest.raises(InvalidEvent, match=complaint):
        replay_message(letter(document))


@pytest.mark.parametrize("event_type", ["", "products.unknown"])
def test_a_document_of_no_known_type_is_refused(event_type: str) -> None:
    with pytest.raises(InvalidEvent, match="no task is called"):
        replay_message(letter(PRODUCT, event_type))
