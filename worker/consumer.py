"""Celery's consumer, except that a message it can't run becomes a dead letter and never ends the worker."""

import logging
import time
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer

from recommender.errors import BrokerUnavailable, InvalidEvent
from worker.jobs.dead_letters import DeadLetter
from worker.runtime import current_runtime

log = logging.getLogger(__name__)
ETA_AT_MOST_S = 600


class Consumer(CeleryConsumer):
    """Runs on the event loop's thread, like the methods of its base that it overrides."""

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        """Wrap celery's handler, which checks neither body nor header fields."""
        handle = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> Any:
            try:
                _check(message)
                _keep(message)
                return handle(message)
            except (*self.connection_errors, *self.channel_errors):
                raise
            except Exception as error:  # noqa: BLE001  # celery's strategies raise whatever a header provokes
                return _bury(message, error)

        return on_task_received

    def on_unknown_message(self, body: Any, message: Any) -> None:
        """No Celery message at all."""
        del body
        _bury(message, InvalidEvent("", "not a Celery message of protocol 2"))

    def on_unknown_task(self, body: Any, message: Any, exc: Exception) -> None:
        """A task that does not exist."""
        del body, exc
        name = message.headers.get("task")
        _bury(message, InvalidEvent("task", f"no task is called {name!r}"))

    def on_invalid_task(self, body: Any, message: Any, exc: Exception) -> None:
        """Header fields that can't be right, or content that is not accepted."""
        del body
        _bury(message, exc)

    def on_decode_error(self, message: Any, exc: Exception) -> None:
        """A body that can't be decoded."""
        _bury(message, exc)


def _check(message: Any) -> None:
    """Check what the pool's threads rely on; an error there would leave the message in hand for ever."""
    if not isinstance(message.headers, dict) or not isinstance(message.headers.get("task"), str):
        raise InvalidEvent("headers.task", "expected the name of a task")
    if not isinstance(message.headers.get("id"), str):
        raise InvalidEvent("headers.id", "expected a string")
    payload = message.payload
    if not (isinstance(payload, list | tuple) and len(payload) == 3):
        raise InvalidEvent("body", "expected [args, kwargs, embed]")
    arguments, keywords, embed = payload
    if not isinstance(arguments, list) or not isinstance(keywords, dict):
        raise InvalidEvent("body", "expected args to be a list and kwargs an object")
    if not (embed is None or isinstance(embed, dict)):
        raise InvalidEvent("body", "expected embed to be an object or null")


def _keep(message: Any) -> None:
    """See to it that celery drops the message for no reason of time.

    A message that waits for its time is in hand, and nobody else's meanwhile: it must not wait for long.
    """
    message.headers.pop("expires", None)  # what a producer's call returned for is superseded by no clock
    eta = message.headers.get("eta")
    if eta is None:
        return
    try:
        due = datetime.fromisoformat(eta)
        ahead_s = (due if due.tzinfo else due.replace(tzinfo=UTC)).timestamp() - time.time()
    except (TypeError, ValueError, OverflowError) as error:
        raise InvalidEvent("headers.eta", f"not a time: {error}") from error
    if ahead_s <= 0:
        del message.headers["eta"]
    elif ahead_s > ETA_AT_MOST_S:
        raise InvalidEvent("headers.eta", f"more than {ETA_AT_MOST_S} s ahead; publish it when it is due")


def _bury(message: Any, error: Exception) -> None:
    """Keep the message as a dead letter, then acknowledge it; unacknowledged, it comes again."""
    headers = message.headers if isinstance(message.headers, dict) else {}
    body = message.body
    text = body if isinstance(body, str) else bytes(body or b"").decode(errors="replace")
    letter = DeadLetter.of(str(headers.get("task") or ""), text, error)
    try:
        current_runtime().dead_letters.add([letter])
    except BrokerUnavailable as unavailable:
        log.error("dead_letter_unwritten", extra={"task": letter.type, "error": str(unavailable)})  # noqa: TRY400
        message.requeue()
        return
    message.ack()
