"""Dead letters: what failed for good, kept with its reason until someone replays or drops it.

One Redis Stream, `{catalog}:dead-letters`; an entry holds the fields of `DeadLetter` as strings.
"""

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from typing import Any

from redis import Redis

from recommender import metrics
from worker.broker import broker_errors

PAGE = 256


def now() -> str:
    """The time as dead letters write it: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def stream_name(catalog: str) -> str:
    """The Redis key of a catalog's dead letters."""
    return f"{catalog}:dead-letters"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One document, message or line that failed for good.

    `document` is the JSON of a product document, of a catalog job's arguments, or the text that was
    received where it is neither. `type` is the event type, empty where that is unknown too.
    """

    type: str
    document: str
    reason: str
    message: str
    image: str = ""
    attempts: int = 1
    first_seen: str = field(default_factory=now)
    last_seen: str = field(default_factory=now)
    trace_id: str = ""
    id: str = ""

    @classmethod
    def of(cls, event_type: str, document: Any, error: BaseException, **known: Any) -> "DeadLetter":
        """Say of a document (a JSON value, or text) why it failed."""
        text = document if isinstance(document, str) else json.dumps(document, default=repr)
        trace_id = document.get("trace_id") if isinstance(document, dict) else None
        return cls(
            type=event_type,
            document=text,
            reason=type(error).__name__,
            message=str(error),
            trace_id=str(trace_id or ""),
            **known,
        )


class DeadLetters:
    """The stream of dead letters. Thread-safe; every method may raise `BrokerUnavailable`."""

    def __init__(self, client: Redis, catalog: str) -> None:
        self._client = client
        self._name = stream_name(catalog)

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """Append letters; on return Redis has them."""
        if not letters:
            return
        with broker_errors(), self._client.pipeline(transaction=False) as pipe:
            for letter in letters:
                fields = {name: str(value) for name, value in asdict(letter).items() if name != "id"}
                pipe.xadd(self._name, fields)  # type: ignore[arg-type]  # its dict is invariant
            pipe.execute()
        for letter in letters:
            metrics.DEAD_LETTERS.labels(letter.reason).inc()

    def count(self) -> int:
        """Count them."""
        with broker_errors():
            return int(self._client.xlen(self._name))

    def all(self) -> Iterator[DeadLetter]:
        """Walk through them, oldest first."""
        start = "-"
        while True:
            with broker_errors():
                page: Any = self._client.xrange(self._name, min=start, count=PAGE)
            for entry, fields in page:
                yield _letter(entry, fields)
            if len(page) < PAGE:
                return
            start = f"({page[-1][0]}"

    def get(self, entry: str) -> DeadLetter | None:
        """Find one by its id."""
        with broker_errors():
            found: Any = self._client.xrange(self._name, min=entry, max=entry)
        return _letter(*found[0]) if found else None

    def drop(self, entries: Sequence[str]) -> int:
        """Remove letters; return how many there were."""
        if not entries:
            return 0
        with broker_errors():
            return int(self._client.xdel(self._name, *entries))


def _letter(entry: str, fields: dict[str, str]) -> DeadLetter:
    known = {name: fields.get(name, "") for name in DeadLetter.__slots__ if name not in {"id", "attempts"}}
    attempts = fields.get("attempts", "1")
    return DeadLetter(**known, attempts=int(attempts) if attempts.isdecimal() else 1, id=entry)
