"""What becomes of one message: applied, retried or dead-lettered, and only then acknowledged."""

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from celery import Celery, Task
from celery.exceptions import Reject

from recommender import metrics
from recommender.errors import BrokerUnavailable, PermanentError, ShuttingDown, TransientError
from worker.celery import QUARANTINE, QUEUES, ROUTES, VISIBILITY_TIMEOUT_S
from worker.jobs.dead_letters import DeadLetter, now
from worker.publish import ATTEMPTS, CURSOR, FAILURES, FIRST_SEEN, Message, publish
from worker.runtime import Runtime, current_runtime

log = logging.getLogger(__name__)
MAX_DELAY_S = VISIBILITY_TIMEOUT_S / 2
"""A delayed message waits in a worker's memory and counts against the visibility timeout."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message in hand, and what this process has to handle it with."""

    app: Celery
    runtime: Runtime
    id: str
    type: str
    args: Sequence[Any]
    kwargs: dict[str, Any]
    queue: str
    attempts: int
    failures: int
    first_seen: str
    cursor: dict[str, Any] | None = None

    @classmethod
    def of(cls, task: Task, args: Sequence[Any], kwargs: dict[str, Any]) -> "Delivery":
        """Read what the message says of itself; odd values are taken for missing ones."""
        info = task.request.delivery_info or {}
        first_seen = task.request.get(FIRST_SEEN)
        queue = info.get("routing_key")
        cursor = task.request.get(CURSOR)
        return cls(
            app=task.app,
            runtime=current_runtime(),
            id=str(task.request.id),
            type=task.name,
            args=args,
            kwargs=kwargs,
            queue=queue if queue in QUEUES else ROUTES[task.name],
            attempts=_count(task.request.get(ATTEMPTS)),
            failures=_count(task.request.get(FAILURES)),
            first_seen=first_seen if isinstance(first_seen, str) else now(),
            cursor=cursor if isinstance(cursor, dict) else None,
        )

    def bury(self, document: Any, error: BaseException, image: str = "") -> DeadLetter:
        """The dead letter of one document of this message."""
        return DeadLetter.of(
            self.type,
            document,
            error,
            image=image,
            attempts=self.attempts + 1,
            first_seen=self.first_seen,
        )

    def again(self, args: Sequence[Any], cause: str, *, failures: int | None = None) -> None:
        """Publish these arguments, a little later than the last time.

        All of them are the same message again, with its id; some are a message of their own.
        """
        settings = self.runtime.settings.worker
        delay_s = min(settings.retry_delay_s * 2 ** min(self.attempts, 8), MAX_DELAY_S)
        headers = {
            ATTEMPTS: self.attempts + 1,
            FAILURES: self.failures if failures is None else failures,
            FIRST_SEEN: self.first_seen,
            CURSOR: self.cursor,
        }
        identity = self.id if args is self.args else None
        publish(self.app, Message(self.type, args, self.kwargs, self.queue, delay_s, headers, identity))
        metrics.PUBLISHED_AGAIN.labels(cause).inc()

    def go_on(self, cursor: dict[str, Any], delay_s: float | None = None) -> None:
        """Publish this message again, with its id, to go on from `cursor`; no attempt counts."""
        headers = {FIRST_SEEN: self.first_seen, CURSOR: cursor}
        queue = ROUTES[self.type] if self.queue == QUARANTINE else self.queue
        publish(self.app, Message(self.type, self.args, self.kwargs, queue, delay_s, headers, self.id))


def deliver(
    task: Task, args: Sequence[Any], kwargs: dict[str, Any], handle: Callable[[Delivery], None]
) -> None:
    """Run the body of a task so that nothing is lost and nothing but `Reject` leaves it.

    Raises:
        Reject: what is left to do could not be written down; the message goes back to its queue.
    """
    try:
        _settle(Delivery.of(task, args, kwargs), handle)
    except Reject:
        raise
    except BaseException as error:
        log.warning("message_requeued", extra={"task": task.name, "error": str(error)}, exc_info=error)
        time.sleep(1)  # a requeued message comes back at once
        raise Reject(str(error), requeue=True) from error


def _settle(delivery: Delivery, handle: Callable[[Delivery], None]) -> None:
    try:
        handle(delivery)
    except (BrokerUnavailable, ShuttingDown, Reject):
        raise
    except TransientError as error:
        log.warning("message_again", extra={"task": delivery.type, "error": str(error)})
        delivery.again(delivery.args, type(error).__name__)
    except PermanentError as error:
        _bury_all(delivery, error)
    except BaseException as error:  # noqa: BLE001  # celery never acknowledges a MemoryError or SystemExit
        _unknown(delivery, error)


def _unknown(delivery: Delivery, error: BaseException) -> None:
    """Try again what failed for no known reason: documents one by one, so that one costs only itself."""
    failures = delivery.failures + 1
    log.error("message_failed", extra={"task": delivery.type, "failures": failures}, exc_info=error)
    if failures >= delivery.runtime.settings.worker.max_attempts:
        _bury_all(delivery, error)
        return
    documents = delivery.args[0] if len(delivery.args) == 1 else None
    if isinstance(documents, list) and len(documents) > 1:
        for document in documents:
            delivery.again([[document]], type(error).__name__, failures=failures)
    else:
        delivery.again(delivery.args, type(error).__name__, failures=failures)


def _bury_all(delivery: Delivery, error: BaseException) -> None:
    """Every document of the message, or its arguments where they are none."""
    documents = delivery.args[0] if len(delivery.args) == 1 and not delivery.kwargs else None
    if not (isinstance(documents, list) and documents and delivery.type.startswith("products.")):
        documents = [delivery.kwargs if not delivery.args else [*delivery.args, delivery.kwargs]]
    letters = [delivery.bury(document, error) for document in documents]
    delivery.runtime.dead_letters.add(letters)
    log.warning(
        "message_dead_lettered",
        extra={"task": delivery.type, "letters": len(letters), "error": f"{type(error).__name__}: {error}"},
    )


def _count(header: Any) -> int:
    return header if isinstance(header, int) and header > 0 else 0
