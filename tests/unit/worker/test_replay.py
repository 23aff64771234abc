import base64
import json
from typing import Any

import pytest

from recommender.errors import InvalidEvent
from worker.jobs.dead_letters import DeadLetter
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
    assert (message.type, message.args, message.queue) == ("products.upsert", [[PRODUCT]], None)


@pytest.mark.parametrize("event_type", ["products.upsert", ""])
def test_a_whole_message_is_published_as_it_was(event_type: str) -> None:
    message = replay_message(letter(envelope([[[PRODUCT]], {"k": 1}, {}]), event_type))
    assert (message.type, message.args, message.kwargs) == ("products.upsert", [[PRODUCT]], {"k": 1})
    assert (message.queue, message.id) == ("bulk", "7")
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
        (envelope([[], {}]), "args, kwargs"),
        (envelope([{}, {}, {}]), "args, kwargs"),
        (envelope(None, body="a"), "not JSON"),
        (envelope(None, body=1), "not JSON"),
        (envelope([[], {}, {}], **{"content-type": "application/x-python-serialize"}), "not JSON"),
    ],
)
def test_what_can_not_be_published_is_refused(document: Any, complaint: str) -> None:
    with pytest.raises(InvalidEvent, match=complaint):
        replay_message(letter(document))
