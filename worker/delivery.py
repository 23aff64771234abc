"""What becomes of one message: applied, retried or dead-lettered, and only then acknowledged."""

import logging
import random
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from celery import Celery, Task
from celery.exceptions import Reject

from recommender import metrics
from recommender.errors import BrokerUnavailable, EncoderLost, PermanentError, ShuttingDown, TransientError
from recommender.serving import Pair
from worker.celery import QUARANTINE, QUEUES, ROUTES, VISIBILITY_TIMEOUT_S
from worker.deliveries import LIMIT
from worker.embedding import ImageStage
from worker.isolation import Quarantined
from worker.jobs.dead_letters import DeadLetter, now
from worker.publish import (
    ATTEMPTS,
    CHAIN,
    CURSOR,
    DELIVERIES,
    FAILURES,
    FIRST_SEEN,
    Message,
    publish,
)
from worker.runtime import Runtime, current_runtime
from worker.watchdog import Watch

log = logging.getLogger(__name__)
MAX_DELAY_S = VISIBILITY_TIMEOUT_S / 2
"""A delayed message waits in a worker's hands, and takes room there that others might have."""
STEP_S = 30
"""What has not begun by then is left to a message of its own."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """One message in hand, and what this process has to handle it with.

    `deliveries` says how often its body was begun without coming to an end, this time included: from the
    second on its images are read in a process of their own.
    `chain` is the tag that it first came with: it stays when the message is delivered or published again, and
    no other message has it, whereas a producer may use one task id many times.
    """

    app: Celery
    runtime: Runtime
    watch: Watch
    id: str
    tag: str
    chain: str
    type: str
    args: Sequence[Any]
    kwargs: dict[str, Any]
    queue: str
    attempts: int
    failures: int
    deliveries: int
    first_seen: str
    cursor: dict[str, Any] | None = None
    begun_at: float = field(default_factory=time.monotonic)
    on_burial: list[Callable[[BaseException], None]] = field(default_factory=list)
    """Called with the error once the whole message is in the dead letters."""

    @classmethod
    def of(cls, task: Task, args: Sequence[Any], kwargs: dict[str, Any], watch: Watch) -> "Delivery":
        """Read what the message says of itself, and count that its body begins.

        Odd values are taken for missing ones.

        Raises:
            BrokerUnavailable: it could not be counted.
            Reject: it was given back meanwhile, and is in other hands or in its queue.
        """
        runtime, request = current_runtime(), task.request
        info = request.delivery_info or {}
        first_seen, cursor, queue = request.get(FIRST_SEEN), request.get(CURSOR), info.get("routing_key")
        tag, chain = request.properties["delivery_tag"], request.get(CHAIN)
        begun = runtime.deliveries.begin(tag)
        if not begun:
            log.info("message_not_begun", extra={"task": task.name, "id": request.id})
            raise Reject("it was given back before its body began", requeue=True)
        return cls(
            app=task.app,
            runtime=runtime,
            watch=watch,
            id=str(request.id),
            tag=tag,
            chain=chain if isinstance(chain, str) and chain else tag,
            type=task.name,
            args=args,
            kwargs=kwargs,
            queue=queue if queue in QUEUES and queue != QUARANTINE else ROUTES[task.name],
            attempts=_count(request.get(ATTEMPTS)),
            failures=_count(request.get(FAILURES)),
            deliveries=_count(request.get(DELIVERIES)) + begun,
            first_seen=first_seen if isinstance(first_seen, str) else now(),
            cursor=cursor if isinstance(cursor, dict) else None,
        )

    def may_go_on(self) -> bool:
        """Whether there is time to begin another part of the work; saying so is a sign of life."""
        self.watch.progress()
        return time.monotonic() - self.begun_at < STEP_S and not self.runtime.watchdog.is_shutting_down

    def image_stage(self, pair: Pair) -> ImageStage | None:
        """What reads this message's images for a pair: None for the process's own stage."""
        if self.deliveries == 1:
            return None
        runtime, last = self.runtime, self.deliveries >= LIMIT
        process, by = runtime.image_process, pair.settings
        return Quarantined(process, by, runtime.deliveries, runtime.breakers, self.tag, last=last)

    def bury(self, document: Any, error: BaseException, image: str = "") -> DeadLetter:
        """The dead letter of one document of this message."""
        return DeadLetter.of(
            self.type,
            document,
            error,
            image=image,
            attempts=max(self.attempts + 1, self.deliveries),
            first_seen=self.first_seen,
        )

    def again(self, args: Sequence[Any], cause: str, *, failures: int | None = None) -> None:
        """Publish these arguments, a little later than the last time.

        All of them are the same message again, with its id; some are a message of their own.
        """
        settings = self.runtime.settings.worker
        delay_s = min(settings.retry_delay_s * 2 ** min(self.attempts, 8), MAX_DELAY_S)
        if self.deliveries > 1:  # while it waits, it is the one message of quarantine in hand
            delay_s = min(delay_s, 1)
        delay_s *= random.uniform(0.5, 1.0)  # noqa: S311  # what failed together must not come back together
        headers = {
            ATTEMPTS: self.attempts + 1,
            FAILURES: self.failures if failures is None else failures,
            DELIVERIES: self.deliveries - 1,  # this one came to an end
        }
        self._publish(args, headers, delay_s)
        metrics.PUBLISHED_AGAIN.labels(cause).inc()

    def leave(self, args: Sequence[Any]) -> None:
        """Publish what was not begun, at once."""
        headers = {ATTEMPTS: self.attempts, FAILURES: self.failures, DELIVERIES: self.deliveries - 1}
        self._publish(args, headers)

    def isolate(self, args: Sequence[Any], cause: str) -> None:
        """Publish to quarantine what ended a process, or would have."""
        headers = {ATTEMPTS: self.attempts, FAILURES: self.failures, DELIVERIES: self.deliveries}
        self._publish(args, headers)
        metrics.PUBLISHED_AGAIN.labels(cause).inc()

    def go_on(self, cursor: dict[str, Any], delay_s: float | None = None) -> None:
        """Publish this message again, with its id, to go on from `cursor`; no attempt counts."""
        headers = {FIRST_SEEN: self.first_seen, CHAIN: self.chain, CURSOR: cursor}
        publish(self.app, Message(self.type, self.args, self.kwargs, self.queue, delay_s, headers, self.id))

    def _publish(self, args: Sequence[Any], headers: dict[str, Any], delay_s: float | None = None) -> None:
        headers |= {FIRST_SEEN: self.first_seen, CURSOR: self.cursor}
        queue = QUARANTINE if headers[DELIVERIES] else self.queue
        identity = self.id if args is self.args else None
        if identity:  # what is a part of it is a message of its own
            headers[CHAIN] = self.chain
        publish(self.app, Message(self.type, args, self.kwargs, queue, delay_s, headers, identity))


def deliver(
    task: Task, args: Sequence[Any], kwargs: dict[str, Any], handle: Callable[[Delivery], None]
) -> None:
    """Run the body of a task so that nothing is lost and nothing but `Reject` leaves it.

    Raises:
        Reject: what is left to do could not be written down; the message goes back to its queue.
    """
    try:
        with current_runtime().watchdog.watch(f"{task.name} {task.request.id}") as watch:
            _settle(Delivery.of(task, args, kwargs, watch), handle)
    except Reject:
        raise
    except EncoderLost as error:
        current_runtime().watchdog.end(str(error))
    except BaseException as error:
        log.warning("message_requeued", extra={"task": task.name, "error": str(error)}, exc_info=error)
        time.sleep(1)  # a requeued message comes back at once
        raise Reject(str(error), requeue=True) from error


def _settle(delivery: Delivery, handle: Callable[[Delivery], None]) -> None:
    try:
        handle(delivery)
    except (BrokerUnavailable, EncoderLost, ShuttingDown, Reject):
        raise
    except TransientError as error:
        delivery.runtime.breakers.failed(error)
        log.warning("message_again", extra={"task": delivery.type, "error": str(error)})
        delivery.again(delivery.args, type(error).__name__)
    except PermanentError as error:
        _bury_all(delivery, error)
    except Exception as error:  # noqa: BLE001  # whatever it is, it must not leave the message unacknowledged
        if isinstance(error, MemoryError):
            _lethal(delivery, error)
        else:
            _unknown(delivery, error)
    except BaseException as error:  # noqa: BLE001  # celery never acknowledges a SystemExit or KeyboardInterrupt
        _lethal(delivery, error)


def _unknown(delivery: Delivery, error: BaseException) -> None:
    """Try again what failed for no known reason: documents one by one, so that one costs only itself."""
    failures = delivery.failures + 1
    log.error("message_failed", extra={"task": delivery.type, "failures": failures}, exc_info=error)
    if failures >= delivery.runtime.settings.worker.max_attempts:
        _bury_all(delivery, error)
        return
    for args in _one_by_one(delivery):
        delivery.again(args, type(error).__name__, failures=failures)


def _lethal(delivery: Delivery, error: BaseException) -> None:
    """Isolate what would have ended its process, as if it had."""
    log.error(
        "message_lethal", extra={"task": delivery.type, "deliveries": delivery.deliveries}, exc_info=error
    )
    if delivery.deliveries >= LIMIT:
        _bury_all(delivery, error)
        return
    for args in _one_by_one(delivery):
        delivery.isolate(args, type(error).__name__)


def _one_by_one(delivery: Delivery) -> Iterator[Sequence[Any]]:
    """The arguments of a message for each document; its own where it has one, or none."""
    documents = delivery.args[0] if len(delivery.args) == 1 else None
    if isinstance(documents, list) and len(documents) > 1:
        yield from ([[document]] for document in documents)
    else:
        yield delivery.args


def _bury_all(delivery: Delivery, error: BaseException) -> None:
    """Every document of the message, or its arguments where they are none."""
    documents = delivery.args[0] if len(delivery.args) == 1 and not delivery.kwargs else None
    if not (isinstance(documents, list) and documents and delivery.type.startswith("products.")):
        documents = [delivery.kwargs if not delivery.args else [*delivery.args, delivery.kwargs]]
    delivery.runtime.dead_letters.add([delivery.bury(document, error) for document in documents])
    for tell in delivery.on_burial:
        tell(error)


def _count(header: Any) -> int:
    return header if isinstance(header, int) and header > 0 else 0
