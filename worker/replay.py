"""A dead letter as the message that tries it again."""

import base64
import json
from typing import Any

from kombu.exceptions import KombuError
from kombu.serialization import loads

from recommender.errors import InvalidEvent
from recommender.events import EVENT_TYPES
from worker.celery import QUARANTINE, QUEUES, ROUTES
from worker.jobs.dead_letters import DeadLetter
from worker.plan import EMBED
from worker.publish import Message, event_message


def replay_message(letter: DeadLetter) -> Message:
    """The message of the document that a letter holds, or of the whole message.

    Raises:
        InvalidEvent: it holds neither.
    """
    try:
        document = json.loads(letter.document)
    except (ValueError, RecursionError):
        document = None
    if isinstance(document, dict) and {"headers", "body", "properties"} <= document.keys():
        return _of_envelope(document)
    if letter.type not in (*EVENT_TYPES, EMBED) or not isinstance(document, dict):
        raise InvalidEvent("", "it holds no document of a known type, and no message")
    return event_message(letter.type, document)


def _of_envelope(envelope: dict[str, Any]) -> Message:
    """What a message said, as it lay in the broker; its count of deliveries starts over."""
    headers, properties = envelope["headers"], envelope["properties"]
    if not isinstance(headers, dict) or not isinstance(properties, dict):
        raise InvalidEvent("", "its message has no headers and properties")
    task, identity = headers.get("task"), headers.get("id")
    if not isinstance(task, str) or task not in ROUTES:
        raise InvalidEvent("headers.task", f"no task is called {task!r}")
    info = properties.get("delivery_info")
    queue = info.get("routing_key") if isinstance(info, dict) else None
    args, kwargs = _arguments(envelope, properties.get("body_encoding"))
    return Message(
        task,
        args,
        kwargs,
        queue=queue if queue in QUEUES and queue != QUARANTINE else None,
        id=identity if isinstance(identity, str) else None,
    )


def _arguments(envelope: dict[str, Any], body_encoding: Any) -> tuple[list[Any], dict[str, Any]]:
    body = envelope["body"]
    try:
        raw = base64.b64decode(body, validate=True) if body_encoding == "base64" else body
        payload = loads(
            raw, envelope.get("content-type"), envelope.get("content-encoding"), accept={"application/json"}
        )
    except (KombuError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise InvalidEvent("body", f"not JSON: {error}") from error
    if (
        not isinstance(payload, list)
        or len(payload) != 3
        or not isinstance(payload[0], list)
        or not isinstance(payload[1], dict)
    ):
        raise InvalidEvent("body", "expected [args, kwargs, embed]")
    return payload[0], payload[1]
