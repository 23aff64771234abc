"""Catalog jobs are chains of short steps: each does a part, publishes its continuation, and ends.

So no message is in hand for long, whatever the size of the catalog, and a worker that is killed repeats
one step at most. A killed step can leave its continuation and itself behind; the chain must not fork,
so every step of it belongs to the first message that begins it. A chain is known by the delivery tag of its
first message: that stays when the message is delivered again, and no other message has it, whereas a producer
may use one task id many times.
"""

import logging
import time
from collections.abc import Callable, Generator
from contextlib import closing
from typing import Any, TypeVar
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from recommender.errors import BrokerUnavailable, InvalidEvent, TransientError
from worker.broker import broker_errors
from worker.celery import BULK
from worker.delivery import MAX_DELAY_S, Delivery
from worker.jobs.first import first_to_come
from worker.publish import CURSOR

log = logging.getLogger(__name__)
JOB_STEP_S = 1
"""Short, so that a worker that is killed repeats little; the pauses between are milliseconds."""
BULK_AT_MOST = 1000
"""Messages that wait in `bulk`; a job that would add to more of them waits instead of filling Redis."""
WAIT_S = 10


class Position(BaseModel):
    """How far a job is; what is in the header is checked, since anyone can write to Redis."""

    model_config = ConfigDict(frozen=True)


P = TypeVar("P", bound=Position)
Work = Callable[[P], Generator[P, None, None]]
"""Goes on from a position; yields the position after each part that it has published."""


class _Step(BaseModel):
    chain: str
    number: NonNegativeInt = 0
    token: str
    """Of the message that is to do this step; two continuations of one step differ in it."""
    position: dict[str, Any] = {}


def run_step(delivery: Delivery, start: P, work: Work[P]) -> None:
    """Do one step of a job; `start` is where its first begins.

    Raises:
        InvalidEvent: the message's cursor is none of ours.
        TransientError: nothing could be done; the same step may be tried again.
    """
    step, begun_at = _read(delivery, type(start), start)
    if not _is_mine(delivery, step):
        log.info("step_superseded", extra={"task": delivery.type, "id": delivery.id, "step": step.number})
        return
    position = begun_at
    with closing(work(begun_at)) as parts:
        while not _is_crowded(delivery):
            try:
                position = next(parts)
            except StopIteration:
                return
            except BrokerUnavailable:
                raise  # the continuation could not be published either
            except TransientError as error:
                if position is begun_at:
                    raise
                log.warning("step_interrupted", extra={"task": delivery.type, "error": str(error)})
                _go_on(delivery, step, position, delivery.runtime.settings.worker.retry_delay_s)
                return
            if not _has_time(delivery):
                _go_on(delivery, step, position)
                return
    _go_on(delivery, step, position, WAIT_S)


def _read(delivery: Delivery, kind: type[P], start: P) -> tuple[_Step, P]:
    if delivery.cursor is None:
        return _Step(chain=delivery.tag, token=delivery.tag), start
    try:
        step = _Step.model_validate(delivery.cursor)
        return step, kind.model_validate(step.position)
    except ValidationError as error:
        raise InvalidEvent(f"headers.{CURSOR}", str(error)) from error


def _is_mine(delivery: Delivery, step: _Step) -> bool:
    runtime = delivery.runtime
    key = f"{runtime.settings.catalog}:step:{step.chain}:{step.number}"
    return first_to_come(runtime.redis, key, step.token) == step.token


def _is_crowded(delivery: Delivery) -> bool:
    runtime = delivery.runtime
    with broker_errors():
        waiting: Any = runtime.redis.llen(f"{runtime.settings.redis.key_prefix or ''}{BULK}")
    return bool(waiting > BULK_AT_MOST)


def _has_time(delivery: Delivery) -> bool:
    """Not where its worker ended before: one part is a step then, so that only a lethal part stays."""
    delivery.watch.progress()
    if delivery.deliveries > 1 or delivery.runtime.watchdog.is_shutting_down:
        return False
    return time.monotonic() - delivery.begun_at < JOB_STEP_S


def _go_on(delivery: Delivery, step: _Step, position: Position, delay_s: float = 0) -> None:
    following = _Step(
        chain=step.chain, number=step.number + 1, token=uuid4().hex, position=position.model_dump()
    )
    delivery.go_on(following.model_dump(), min(delay_s, MAX_DELAY_S) or None)
