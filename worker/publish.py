"""Messages to Celery, by task name: for the stream, the jobs, retries and the command line."""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, TypeVar

from celery import Celery
from kombu.exceptions import OperationalError
from kombu.utils.json import dumps
from redis import RedisError

from recommender.errors import BrokerUnavailable
from recommender.events import PRODUCT_EVENTS
from worker.plan import BACKFILL, EMBED, PURGE

ATTEMPTS = "lookalike_attempts"
FAILURES = "lookalike_failures"
"""Attempts that failed for no known reason; an outage never adds to them."""
DELIVERIES = "lookalike_deliveries"
"""Deliveries that ended a process; more than none belongs in quarantine."""
FIRST_SEEN = "lookalike_first_seen"
CURSOR = "lookalike_cursor"
"""Which step of a catalog job the message is to do: a JSON object."""
CHAIN = "lookalike_chain"
"""The first delivery tag of a message that was published again, or of a job."""
BATCH_BYTES = 8 * 2**20
"""As JSON. In a message it becomes a third more, and a message of 16 MiB is refused (worker.transport)."""
_RETRY_POLICY = {"max_retries": 3, "interval_start": 0.1, "interval_step": 0.3, "interval_max": 1}


@dataclass(frozen=True, slots=True)
class Message:
    """One message: an event type and its arguments, in a queue (its route's unless named).

    The id is a new one unless named.
    """

    type: str
    args: Sequence[Any] = ()
    kwargs: Mapping[str, Any] | None = None
    queue: str | None = None
    delay_s: float | None = None
    headers: Mapping[str, Any] | None = None
    id: str | None = None


T = TypeVar("T")


def batches(
    items: Iterable[T], size_of: Callable[[T], int], at_most: int | None = None
) -> Iterator[tuple[T, ...]]:
    """Cut items where a batch would hold more than `BATCH_BYTES`, or `at_most` of them.

    An item that is larger than that is a batch of its own.
    """
    batch: list[T] = []
    total = 0
    for item in items:
        size = size_of(item)
        if batch and total + size > BATCH_BYTES:
            yield tuple(batch)
            batch, total = [], 0
        batch.append(item)
        total += size
        if len(batch) == at_most:
            yield tuple(batch)
            batch, total = [], 0
    if batch:
        yield tuple(batch)


def publish(app: Celery, message: Message) -> int:
    """Hand a message to the broker, documents that are too many bytes for one as several.

    On return the broker has them; returns how many. A document that no message can hold goes alone, and what
    becomes a dead letter is it and no other.

    Raises:
        BrokerUnavailable: it could not be reached; it may have some of them.
    """
    parts = _parts(message)
    for part in parts:
        _send(app, part)
    return len(parts)


def _parts(message: Message) -> list[Message]:
    documents = message.args[0] if len(message.args) == 1 else None
    if message.kwargs or not isinstance(documents, list):
        return [message]
    cut = list(batches(documents, lambda document: len(dumps(document)) + len(", ")))
    if len(cut) <= 1:
        return [message]
    return [replace(message, args=[list(batch)], id=None) for batch in cut]


def _send(app: Celery, message: Message) -> None:
    try:
        app.send_task(
            message.type,
            args=list(message.args),
            kwargs=dict(message.kwargs or {}),
            queue=message.queue,
            countdown=message.delay_s,
            headers=dict(message.headers or {}),
            task_id=message.id,
            retry=True,
            retry_policy=_RETRY_POLICY,
        )
    except (OperationalError, RedisError, OSError) as error:
        raise BrokerUnavailable(f"publishing {message.type}: {error}") from error


def event_message(event_type: str, data: Any, queue: str | None = None) -> Message:
    """The message of an event: documents as the one positional argument, a job's as keywords."""
    if event_type in PRODUCT_EVENTS or event_type in (EMBED, BACKFILL, PURGE):
        return Message(event_type, args=[data if isinstance(data, list) else [data]], queue=queue)
    return Message(event_type, kwargs=data, queue=queue)
