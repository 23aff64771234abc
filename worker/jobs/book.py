"""The job book: every catalog job that runs, waits or has lately ended, kept in Redis.

Jobs are told apart by type and scope: of one scope one runs and at most one waits for its turn, and what is
asked for while one waits is done by it. A job's place lies here, not in its messages, so that whoever goes
on with it does so from exactly there.
"""

import hashlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self, cast
from uuid import uuid4

from redis import Redis

from recommender.events import CatalogJob, canonical_json
from worker.broker import broker_errors
from worker.deliveries import UNACKED
from worker.jobs import book_scripts as scripts

State = Literal["waiting", "running", "done", "failed", "stopped", "cancelled"]
"""`waiting`: for another job of its scope to end. `stopped`: a guard of its own said no."""
SCOPE_CHARACTERS = 160
SHOWN_ITEMS = 16


@dataclass(frozen=True, slots=True)
class JobRecord:
    """What is known of a job. Times are in seconds since 1970 by Redis's clock, 0 for what has not been."""

    id: str
    type: str
    arguments: dict[str, Any]
    """As the message gave them, long lists cut."""
    scope: str
    state: State
    phase: str = ""
    done: int = 0
    """In this phase."""
    total: int | None = None
    """None: unknown."""
    created_at: float = 0
    started_at: float = 0
    phase_at: float = 0
    """When this phase began."""
    updated_at: float = 0
    """The latest sign of life."""
    ended_at: float = 0
    position: dict[str, Any] = field(default_factory=dict)
    report: dict[str, Any] = field(default_factory=dict)
    message: str = ""
    """Why it failed or stopped."""
    cancelling: bool = False

    @property
    def is_open(self) -> bool:
        """Whether it runs, or will."""
        return self.state in ("waiting", "running")

    @property
    def per_s(self) -> float:
        """How many a second were done in this phase, all told; 0 where that can't be said yet."""
        took_s = self.updated_at - self.phase_at
        return self.done / took_s if self.phase_at and took_s > 0 else 0.0

    @property
    def remaining_s(self) -> float | None:
        """How long the rest of this phase takes at that rate; None where that can't be said."""
        if self.total is None or not self.per_s:
            return None
        return max(self.total - self.done, 0) / self.per_s

    @classmethod
    def read(cls, fields: Mapping[str, str]) -> Self:
        """A record as Redis holds it."""
        known: dict[str, Any] = {name: fields[name] for name in ("id", "type", "scope", "state")}
        for name in ("phase", "message"):
            known[name] = fields.get(name, "")
        for name in ("created_at", "started_at", "phase_at", "updated_at", "ended_at"):
            known[name] = float(fields.get(name, 0))
        for name in ("arguments", "position", "report"):
            known[name] = json.loads(fields.get(name, "{}"))
        known["done"] = int(fields.get("done", 0))
        known["total"] = int(fields["total"]) if fields.get("total") else None
        return cls(**known, cancelling="cancelling" in fields)


@dataclass(frozen=True, slots=True)
class Step:
    """A message of a job: the job's id, the number of the step, and a token that only this message has."""

    job: str
    number: int
    token: str
    tag: str
    """Its delivery tag, under which it is in hand."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What a message asks for: a job of this type and scope."""

    type: str
    scope: str
    arguments: Mapping[str, Any]
    position: Mapping[str, Any]
    """Where its first step begins."""


@dataclass(frozen=True, slots=True)
class Progress:
    """How far a job is."""

    position: Mapping[str, Any]
    phase: str
    done: int
    total: int | None
    report: Mapping[str, Any]

    def fields(self) -> list[str]:
        """As the record holds it: the phase, then names and values in turn."""
        total = "" if self.total is None else str(self.total)
        values = {
            "position": json.dumps(self.position),
            "done": str(self.done),
            "total": total,
            "report": json.dumps(self.report),
        }
        return [self.phase, *(text for pair in values.items() for text in pair)]


@dataclass(frozen=True, slots=True)
class Begun:
    """What a message is to do: `run` the job from `record`, under the name `hand`, or `wait` and ask again.

    Otherwise nothing: it is `merged` into the job `other`, `cancelled`, or `over`, done by another message.
    """

    outcome: Literal["run", "wait", "merged", "cancelled", "over"]
    hand: str
    record: JobRecord | None = None
    wait_s: float = 0
    other: str = ""


class JobBook:
    """The book of one catalog. Thread-safe; every method may raise `BrokerUnavailable`."""

    def __init__(self, client: Redis, catalog: str, key_prefix: str = "") -> None:
        """`key_prefix` is that of the queues' keys."""
        self._client = client
        self._running, self._waiting = f"{catalog}:jobs:running", f"{catalog}:jobs:waiting"
        self._ended, self._records = f"{catalog}:jobs:ended", f"{catalog}:job:"
        self._keys = (self._running, self._waiting, self._ended, key_prefix + UNACKED, self._records)

    def begin(self, step: Step, asked: Asked) -> Begun:
        """Take a step of a job, the first to ask; the same message may ask again.

        A job that is new waits until no other of its scope runs, or that one is lost.
        """
        hand = uuid4().hex
        names = (asked.type, asked.scope, json.dumps(_cut(asked.arguments)), json.dumps(asked.position))
        outcome, *rest = self._eval(
            scripts.BEGIN, step.job, str(step.number), step.token, step.tag, hand, *names
        )
        if outcome == "run":
            return Begun("run", hand, JobRecord.read(dict(zip(rest[::2], rest[1::2], strict=True))))
        if outcome == "wait":
            return Begun("wait", hand, wait_s=float(rest[0]))
        return Begun(outcome, hand, other="".join(rest))

    def save(
        self, job: str, hand: str, progress: Progress, due_in_s: float = 0
    ) -> Literal["go on", "cancelled", "over"]:
        """Note how far a job is, and that it is due to go on so much later; returns whether it may."""
        answer = self._eval(scripts.SAVE, job, hand, str(due_in_s), *progress.fields())
        return cast("Literal['go on', 'cancelled', 'over']", answer)

    def end(self, job: str, hand: str, state: State, message: str, progress: Progress) -> bool:
        """Note that a job has ended; returns False where it had, or another message goes on with it."""
        return bool(self._eval(scripts.END, job, hand, state, message, *progress.fields()) == "ended")

    def refuse(self, job: str, asked: Asked, message: str) -> None:
        """Note a job that failed before it could begin, unless it has begun."""
        self._eval(scripts.REFUSE, job, asked.type, asked.scope, json.dumps(_cut(asked.arguments)), message)

    def cancel(self, job: str) -> str | None:
        """Cancel a job that is open; returns its state now, None where there is no such job.

        `cancelling`: a step of it is in hand, and ends after the part that it is at.
        """
        return cast("str | None", self._eval(scripts.CANCEL, job))

    def get(self, job: str) -> JobRecord | None:
        """Find one by its id."""
        with broker_errors():
            fields: Any = self._client.hgetall(self._records + job)
        return JobRecord.read(fields) if fields else None

    def list(self, limit: int = scripts.KEPT) -> Sequence[JobRecord]:
        """The open ones, the oldest first, then those that have ended, the latest first."""
        with broker_errors():
            running: Any = self._client.hvals(self._running)
            waiting: Any = self._client.hvals(self._waiting)
            ended: Any = self._client.zrevrange(self._ended, 0, limit - 1)
        records = [record for job in dict.fromkeys((*running, *waiting, *ended)) if (record := self.get(job))]
        still_open = sorted((one for one in records if one.is_open), key=lambda one: one.created_at)
        past = sorted((one for one in records if not one.is_open), key=lambda one: -one.ended_at)
        return [*still_open, *past][:limit]

    def running(self) -> int:
        """Count those that run."""
        with broker_errors():
            found: Any = self._client.hlen(self._running)
        return int(found)

    def now(self) -> float:
        """The time by the clock of all records."""
        with broker_errors():
            seconds, microseconds = self._client.time()
        return seconds + microseconds / 1e6

    def _eval(self, script: str, *arguments: str) -> Any:
        with broker_errors():
            answer: Any = self._client.eval(script, len(self._keys), *self._keys, *arguments)
        return answer


def job_scope(job: CatalogJob) -> str:
    """The scope of what a message asks for."""
    return scope_of(job.model_dump(mode="json", exclude_defaults=True))


def scope_of(arguments: Mapping[str, Any]) -> str:
    """The canonical text of a job's arguments, the same for those that ask for the same.

    What is None is left out, the order of ids makes no difference; a long text ends in its digest.
    """
    text = canonical_json(_canonical(arguments))
    if len(text) <= SCOPE_CHARACTERS:
        return text
    return f"{text[:SCOPE_CHARACTERS]}… {hashlib.sha256(text.encode()).hexdigest()[:16]}"


def _canonical(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _canonical(inner) for name, inner in value.items() if inner is not None}
    if isinstance(value, list | tuple):
        return sorted(set(value))
    return value


def _cut(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _cut(inner) for name, inner in value.items()}
    if isinstance(value, list | tuple) and len(value) > SHOWN_ITEMS:
        return [*value[:SHOWN_ITEMS], f"... and {len(value) - SHOWN_ITEMS} more"]
    return value
