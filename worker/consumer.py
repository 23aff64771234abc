"""Celery's consumer, except that a message it can't run becomes a dead letter and never ends the worker."""

import logging
from collections.abc import Callable
from typing import Any

from celery.worker.consumer import Consumer as CeleryConsumer

from recommender.errors import BrokerUnavailable, InvalidEvent
from worker.jobs.dead_letters import DeadLetter
from worker.runtime import current_runtime

log = logging.getLogger(__name__)


class Consumer(CeleryConsumer):
    """Runs on the event loop's thread, like the methods of its base that it overrides."""

    def create_task_handler(self, *args: Any, **kwargs: Any) -> Callable[[Any], Any]:
        """Wrap celery's handler, which checks neither body nor header fields."""
        handle = super().create_task_handler(*args, **kwargs)

        def on_task_received(message: Any) -> Any:
            try:
                _check(message)
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
