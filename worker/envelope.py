"""What a Celery message says, read without a consumer: as it lay in the broker, or its body alone."""

import base64
from typing import Any

from kombu.exceptions import KombuError
from kombu.serialization import loads

from recommender.errors import InvalidEvent

Arguments = tuple[list[Any], dict[str, Any]]
"""Positional and keyword arguments of the task."""


def is_envelope(document: Any) -> bool:
    """Whether this is a message with its headers, and not a document or a body."""
    return isinstance(document, dict) and {"headers", "body", "properties"} <= document.keys()


def read_arguments(document: Any) -> Arguments:
    """The arguments that a message holds, or a body `[args, kwargs, embed]`.

    Raises:
        InvalidEvent: it is neither, or can't be read.
    """
    payload = _payload(document) if is_envelope(document) else document
    if (
        not isinstance(payload, list)
        or len(payload) != 3
        or not isinstance(payload[0], list)
        or not isinstance(payload[1], dict)
    ):
        raise InvalidEvent("body", "expected [args, kwargs, embed]")
    return payload[0], payload[1]


def _payload(envelope: dict[str, Any]) -> Any:
    body, properties = envelope["body"], envelope["properties"]
    encoded = isinstance(properties, dict) and properties.get("body_encoding") == "base64"
    try:
        raw = base64.b64decode(body, validate=True) if encoded else body
        return loads(
            raw, envelope.get("content-type"), envelope.get("content-encoding"), accept={"application/json"}
        )
    except (KombuError, ValueError, TypeError, LookupError, AttributeError) as error:
        raise InvalidEvent("body", f"not JSON: {error}") from error
