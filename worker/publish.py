"""Messages to Celery, by task name: for the stream, the jobs, retries and the command line."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from celery import Celery
from kombu.exceptions import OperationalError
from redis import RedisError

from recommender.errors import BrokerUnavailable
from recommender.events import PRODUCT_EVENTS
from worker.plan import EMBED

ATTEMPTS = "lookalike_attempts"
FAILURES = "lookalike_failures"
"""Attempts that failed for no known reason; an outage never adds to them."""
DELIVERIES = "lookalike_deliveries"
"""Deliveries that ended a process; more than none belongs in quarantine."""
FIRST_SEEN = "lookalike_first_seen"
CURSOR = "lookalike_cursor"
"""Where the next step of a catalog job goes on: a JSON object."""
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


def publish(app: Celery, message: Message) -> None:
    """Hand one message to the broker; on return the broker has it.

    Raises:
        BrokerUnavailable: it could not be reached.
    """
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
    if event_type in PRODUCT_EVENTS or event_type == EMBED:
        return Message(event_type, args=[data if isinstance(data, list) else [data]], queue=queue)
    return Message(event_type, kwargs=data, queue=queue)
