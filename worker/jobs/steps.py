"""Catalog jobs are chains of short steps: each does a part, publishes its continuation, and ends.

So no message is in hand for long, whatever the size of the catalog. Where a job is lies in the job book
(worker.jobs.book): after each part it is written down, and a worker that is killed repeats that part at most.
A killed step can leave its continuation and itself behind; the chain must not fork, so that every step of it
belongs to the first message that begins it, and what others of it do is not written down.
"""

import hashlib
import logging
import time
from collections.abc import Callable, Generator, Mapping
from contextlib import closing
from typing import Any, TypeVar
from uuid import uuid4

from pydantic import BaseModel, ConfigDict, NonNegativeInt, ValidationError

from recommender import metrics
from recommender.errors import BrokerUnavailable, InvalidEvent, JobStopped, TransientError
from recommender.events import parse_catalog_job
from worker.broker import broker_errors
from worker.celery import BULK
from worker.delivery import MAX_DELAY_S, Delivery
from worker.jobs.book import Asked, Begun, JobRecord, Progress, State, Step, job_scope
from worker.publish import CURSOR

log = logging.getLogger(__name__)
JOB_STEP_S = 1
"""Short, so that what is published meanwhile has its turn; the pauses between are milliseconds."""
BULK_AT_MOST = 1000
"""Messages that wait in `bulk`; a job that would add to more of them waits instead of filling Redis."""
WAIT_S = 10


class Position(BaseModel):
    """How far a job is; kept in its record."""

    model_config = ConfigDict(frozen=True)


P = TypeVar("P", bound=Position)


class Job:
    """What a step says of its job. All of it is written down with the next position, and at the end.

    `report` holds JSON values, and is as the step before left it.
    """

    def __init__(self, record: JobRecord) -> None:
        self.id = record.id
        self.report: dict[str, Any] = dict(record.report)
        self._type = record.type
        self._phase, self._done, self._total = record.phase, record.done, record.total
        self._wait_s = 0.0

    def phase(self, name: str, total: int | None = None) -> None:
        """Say what is done now, and of how many.

        Of another phase than before, none are done; in the same, None leaves the total as it was.
        """
        if name != self._phase:
            self._phase, self._done, self._total = name, 0, None
        if total is not None:
            self._total = total

    def done(self, count: int) -> None:
        """Say how many are done in this phase, all told."""
        metrics.JOB_PRODUCTS.labels(self._type, self._phase).inc(max(count - self._done, 0))
        self._done = count

    def wait(self, seconds: float) -> None:
        """After the next position, go on in a later message, and no sooner than this."""
        self._wait_s = seconds

    def take_wait(self) -> float:
        """What `wait` was told, once."""
        wait_s, self._wait_s = self._wait_s, 0.0
        return wait_s

    def progress(self, position: Mapping[str, Any]) -> Progress:
        """For the record."""
        return Progress(position, self._phase, self._done, self._total, self.report)


Work = Callable[[P, Job], Generator[P, None, None]]
"""Goes on from a position; yields the position after each part that it has done."""


class _Cursor(BaseModel):
    """What a continuation says; checked, since anyone can write to Redis."""

    model_config = ConfigDict(extra="forbid")

    number: NonNegativeInt
    token: str
    """Two continuations of one step differ in it."""


def run_job(delivery: Delivery, scope: str, start: P, work: Work[P]) -> None:
    """Do one step of the job of this message's type and `scope`; `start` is where its first begins.

    While another job of that scope runs, it waits for it to end; while one waits already, it is merged into
    that. What `work` raises as `JobStopped` ends the job, and is no dead letter.

    Raises:
        InvalidEvent: the message's cursor is none of ours.
        TransientError: nothing could be done; the same step may be tried again.
    """
    step = _read(delivery)
    asked = Asked(delivery.type, scope, delivery.kwargs, start.model_dump(mode="json"))
    begun = delivery.runtime.jobs.begin(step, asked)
    if begun.record is not None:
        _Run(delivery, step, begun, begun.record).advance(type(start), work)
    elif begun.outcome == "wait":
        _go_on(delivery, step, begun.wait_s)
    elif begun.outcome == "merged":
        extra = {"task": delivery.type, "id": delivery.id, "scope": scope, "job": begun.other}
        log.info("trigger_merged", extra=extra)
    elif begun.outcome == "cancelled":
        _tell_end(delivery, step.job, "cancelled", "")
    else:
        _tell_over(delivery, step)


def noting_refusals(handle: Callable[[Delivery], None]) -> Callable[[Delivery], None]:
    """`handle`, but what it refuses before its job has begun is a job that failed, for those who follow it.

    Arguments that break the wire format are a dead letter only: they say no scope.
    """

    def noting(delivery: Delivery) -> None:
        delivery.on_burial.append(lambda error: _note_refusal(delivery, error))
        handle(delivery)

    return noting


def _note_refusal(delivery: Delivery, error: BaseException) -> None:
    try:
        scope = job_scope(parse_catalog_job(delivery.type, delivery.kwargs))
        job = _read(delivery).job
    except InvalidEvent:
        return
    message = f"{type(error).__name__}: {error}"
    delivery.runtime.jobs.refuse(job, Asked(delivery.type, scope, delivery.kwargs, {}), message)


class _Run:
    """A step that is this message's to do."""

    def __init__(self, delivery: Delivery, step: Step, begun: Begun, record: JobRecord) -> None:
        self._delivery, self._step, self._hand = delivery, step, begun.hand
        self._position = record.position
        self._job = Job(record)
        self._book = delivery.runtime.jobs
        delivery.on_burial.append(lambda error: self._end("failed", f"{type(error).__name__}: {error}"))

    def advance(self, kind: type[P], work: Work[P]) -> None:
        """Do one part after another, until there is none, or something else is to have its turn."""
        with closing(work(_position(kind, self._position), self._job)) as parts:
            done_here = 0
            while not _is_crowded(self._delivery):
                try:
                    position = next(parts)
                except StopIteration:
                    self._end("done")
                    return
                except JobStopped as error:
                    self._end("stopped", str(error))
                    return
                except BrokerUnavailable:
                    raise  # the continuation could not be published either
                except TransientError as error:
                    if not done_here:
                        raise
                    log.warning("step_interrupted", extra={"task": self._delivery.type, "error": str(error)})
                    self._go_on(self._delivery.runtime.settings.worker.retry_delay_s)
                    return
                done_here += 1
                wait_s = self._job.take_wait()
                if not self._save(position, wait_s):
                    return
                if wait_s or not _has_time(self._delivery):
                    self._go_on(wait_s)
                    return
        self._go_on(WAIT_S)

    def _save(self, position: Position, wait_s: float) -> bool:
        self._position = position.model_dump(mode="json")
        progress = self._job.progress(self._position)
        answer = self._book.save(self._step.job, self._hand, progress, wait_s)
        if answer == "cancelled":
            _tell_end(self._delivery, self._step.job, "cancelled", "")
        elif answer == "over":
            _tell_over(self._delivery, self._step)
        return answer == "go on"

    def _end(self, state: State, message: str = "") -> None:
        progress = self._job.progress(self._position)
        if self._book.end(self._step.job, self._hand, state, message, progress):
            _tell_end(self._delivery, self._step.job, state, message)
        else:
            _tell_over(self._delivery, self._step)

    def _go_on(self, delay_s: float) -> None:
        _go_on(self._delivery, self._step, delay_s)


def _tell_end(delivery: Delivery, job: str, state: State, message: str) -> None:
    metrics.JOBS_ENDED.labels(delivery.type, state).inc()
    extra = {"task": delivery.type, "id": delivery.id, "job": job, "state": state, "error": message}
    log.log(logging.ERROR if state == "stopped" else logging.INFO, "job_ended", extra=extra)


def _tell_over(delivery: Delivery, step: Step) -> None:
    extra = {"task": delivery.type, "id": delivery.id, "job": step.job, "step": step.number}
    log.info("step_superseded", extra=extra)


def job_of(delivery: Delivery) -> str:
    """The id of the job that a message belongs to, short enough to be typed."""
    return hashlib.sha256(delivery.chain.encode()).hexdigest()[:16]


def _read(delivery: Delivery) -> Step:
    job = job_of(delivery)
    if delivery.cursor is None:
        return Step(job, 0, delivery.chain, delivery.tag)
    try:
        cursor = _Cursor.model_validate(delivery.cursor)
    except ValidationError as error:
        raise InvalidEvent(f"headers.{CURSOR}", str(error)) from error
    return Step(job, cursor.number, cursor.token, delivery.tag)


def _position(kind: type[P], found: Mapping[str, Any]) -> P:
    try:
        return kind.model_validate(found)
    except ValidationError as error:
        raise InvalidEvent("position", f"the job's record has another version's: {error}") from error


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


def _go_on(delivery: Delivery, step: Step, delay_s: float = 0) -> None:
    following = _Cursor(number=step.number + 1, token=uuid4().hex)
    delivery.go_on(following.model_dump(), min(delay_s, MAX_DELAY_S) or None)
