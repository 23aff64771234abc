"""Dead letters: what failed for good, kept with its reason until someone replays or drops it.

One Redis Stream, `{catalog}:dead-letters`; an entry holds the fields of `DeadLetter` as strings. Beside
it the hash `{catalog}:dead-letters:causes`, from a letter's cause to its entry: what fails again for the
same cause is the same letter, moved to the end. Nothing trims the stream but `drop`.
"""

import hashlib
import json
import logging
import re
from collections.abc import Iterator, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime
from threading import Lock
from time import monotonic
from typing import Any

from redis import Redis

from recommender import metrics
from recommender.errors import InvalidEvent
from worker.broker import broker_errors
from worker.envelope import read_arguments

log = logging.getLogger(__name__)
PAGE = 64
ALARM_EVERY_S = 60
_ENTRY = re.compile(r"[0-9]{1,19}-[0-9]{1,19}")

# Both scripts begin with this. KEYS: the stream, the entries by cause.
# A cause whose entry someone else removed (XDEL, XTRIM) is forgotten, a few at a time.
_COMMON = """
local letters, causes = KEYS[1], KEYS[2]
local function read(entry)
  local found = entry and redis.call('XRANGE', letters, entry, entry)[1]
  if not found then return nil end
  local fields = {}
  for i = 1, #found[2], 2 do fields[found[2][i]] = found[2][i + 1] end
  return fields
end
local function sweep()
  if redis.call('HLEN', causes) <= redis.call('XLEN', letters) then return end
  local some = redis.call('HRANDFIELD', causes, 16, 'WITHVALUES')
  for i = 1, #some, 2 do
    if not read(some[i + 1]) then redis.call('HDEL', causes, some[i]) end
  end
end
"""

# ARGV: cause, first seen, attempts, then the other fields, each with its value.
# Answers {entry, attempts, first seen, number of letters}. XADD is the first write: where Redis is out of
# memory, it fails and nothing has changed.
_ADD = f"""{_COMMON}
local cause, first_seen, attempts = ARGV[1], ARGV[2], tonumber(ARGV[3])
local old = redis.call('HGET', causes, cause)
local before = read(old)
if before and before.cause == cause then
  local counted = tonumber(before.attempts) or 0
  -- What was replayed, or published again, since the letter was written has counted on from it.
  attempts = before.first_seen == first_seen and math.max(counted, attempts) or counted + attempts
  first_seen = before.first_seen or first_seen
else
  old = nil
end
local entry = redis.call('XADD', letters, '*', 'cause', cause, 'first_seen', first_seen,
                         'attempts', attempts, unpack(ARGV, 4))
if old then redis.call('XDEL', letters, old) end
redis.call('HSET', causes, cause, entry)
sweep()
return {{entry, attempts, first_seen, redis.call('XLEN', letters)}}
"""

# ARGV: entries. Answers how many there were.
_DROP = f"""{_COMMON}
local dropped = 0
for _, entry in ipairs(ARGV) do
  local letter = read(entry)
  if letter then
    if letter.cause and redis.call('HGET', causes, letter.cause) == entry then
      redis.call('HDEL', causes, letter.cause)
    end
    dropped = dropped + redis.call('XDEL', letters, entry)
  end
end
sweep()
return dropped
"""


def now() -> str:
    """The time as dead letters write it: ISO 8601, UTC."""
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _is_time(text: str) -> bool:
    try:
        return datetime.fromisoformat(text).tzinfo is not None
    except ValueError:
        return False


def _time_of(entry: str) -> str:
    milliseconds = int(entry.partition("-")[0])
    return datetime.fromtimestamp(milliseconds / 1000, UTC).isoformat(timespec="milliseconds")


def stream_name(catalog: str) -> str:
    """The Redis key of a catalog's dead letters."""
    return f"{catalog}:dead-letters"


@dataclass(frozen=True, slots=True)
class DeadLetter:
    """One document, message or line that failed for good.

    `document` is the JSON of a product document, of a catalog job's arguments, of a whole message, or
    the text that was received where it is none. `type` is the event type, empty where that is unknown too.
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

    @classmethod
    def read(cls, entry: str, fields: dict[str, str]) -> "DeadLetter":
        """A letter as the stream holds it; a field that is missing is empty, a time that of the entry."""
        known = {name: fields.get(name, "") for name in cls.__slots__ if name not in {"id", "attempts"}}
        for name in ("first_seen", "last_seen"):
            known[name] = known[name] if _is_time(known[name]) else _time_of(entry)
        attempts = fields.get("attempts", "1")
        return cls(**known, attempts=int(attempts) if attempts.isdecimal() else 1, id=entry)

    @property
    def cause(self) -> str:
        """The same for two letters of the same document, image and reason; a trace id makes no difference."""
        document, text = self.parsed(), self.document
        if isinstance(document, dict):
            document.pop("trace_id", None)
            with suppress(RecursionError):  # else the text as it came says it as well
                text = json.dumps(document, sort_keys=True)
        parts = json.dumps([self.type, text, self.image, self.reason])
        return hashlib.sha256(parts.encode()).hexdigest()

    @property
    def products(self) -> tuple[str, ...]:
        """The ids of the products that it is about, as far as they can be read."""
        document = self.parsed()
        documents: Any = [document]
        try:
            args, _ = read_arguments(document)
            documents = args[0] if args else []
        except InvalidEvent:
            pass  # no message: the document itself
        found = [d.get("id") for d in documents if isinstance(d, dict)] if isinstance(documents, list) else []
        # A lone surrogate can't be printed.
        return tuple(i.encode(errors="replace").decode() for i in found if isinstance(i, str))

    @property
    def product(self) -> str:
        """The product that it is about, for people: the first, and how many more."""
        first, *others = self.products or ("",)
        return f"{first} (+{len(others)})" if others else first

    def parsed(self) -> Any:
        """The document as JSON; None where it is none."""
        try:
            return json.loads(self.document)
        except (ValueError, RecursionError):
            return None


class DeadLetters:
    """The stream of dead letters. Thread-safe; every method may raise `BrokerUnavailable`.

    From `alarm` letters on, an arrival is an alarm as well.
    """

    def __init__(self, client: Redis, catalog: str, alarm: int | None = None) -> None:
        self._client = client
        self._name = stream_name(catalog)
        self._causes = f"{self._name}:causes"
        self._alarm = alarm

    def add(self, letters: Sequence[DeadLetter]) -> None:
        """Append letters, each in the place of its predecessor if it has one; on return Redis has them."""
        if not letters:
            return
        with broker_errors(), self._client.pipeline(transaction=False) as pipe:
            for letter in letters:
                fields = asdict(letter)
                first = [letter.cause, fields.pop("first_seen"), fields.pop("attempts")]
                del fields["id"]
                rest = [item for pair in fields.items() for item in pair]
                pipe.eval(_ADD, 2, self._name, self._causes, *first, *rest)
            answers: Any = pipe.execute()
        for letter, (entry, attempts, first_seen, length) in zip(letters, answers, strict=True):
            kept = replace(letter, id=entry, attempts=attempts, first_seen=first_seen)
            tell_arrival(kept, length, self._alarm)

    def count(self) -> int:
        """Count them."""
        with broker_errors():
            return int(self._client.xlen(self._name))

    def all(self) -> Iterator[DeadLetter]:
        """Walk through those that are there now, oldest first; what arrives meanwhile is left out."""
        with broker_errors():
            newest: Any = self._client.xrevrange(self._name, count=1)
        start, end = "-", newest[0][0] if newest else "-"
        while True:
            with broker_errors():
                page: Any = self._client.xrange(self._name, min=start, max=end, count=PAGE)
            for entry, fields in page:
                yield DeadLetter.read(entry, fields)
            if len(page) < PAGE:
                return
            start = f"({page[-1][0]}"

    def get(self, entry: str) -> DeadLetter | None:
        """Find one by its id."""
        if not _ENTRY.fullmatch(entry):
            return None  # Redis would take it for a range, or refuse it
        with broker_errors():
            found: Any = self._client.xrange(self._name, min=entry, max=entry)
        return DeadLetter.read(*found[0]) if found else None

    def drop(self, entries: Sequence[str]) -> int:
        """Remove letters, by the ids that they were read with; return how many were still there."""
        dropped = 0
        for at in range(0, len(entries), PAGE):
            with broker_errors():
                page = entries[at : at + PAGE]
                answer: Any = self._client.eval(_DROP, 2, self._name, self._causes, *page)
            dropped += answer
        return dropped


class _Alarm:
    """Says when an alarm is due: not within a minute of the last one. Thread-safe."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._due_at = 0.0

    def due(self) -> bool:
        with self._lock:
            at = monotonic()
            if at < self._due_at:
                return False
            self._due_at = at + ALARM_EVERY_S
            return True


_alarm = _Alarm()


def tell_arrival(letter: DeadLetter, length: int, alarm: int | None) -> None:
    """Log and count a letter that the stream has now, `length` with it; from `alarm` on, sound the alarm."""
    log.warning(
        "dead_letter",
        extra={
            "type": letter.type,
            "reason": letter.reason,
            "product": letter.product,
            "image": letter.image,
            "trace_id": letter.trace_id,
            "entry": letter.id,
            "attempts": letter.attempts,
        },
    )
    metrics.DEAD_LETTERS.labels(letter.reason).inc()
    metrics.DEAD_LETTERS_KEPT.set(length)
    if alarm is not None and length >= alarm and _alarm.due():
        log.error("dead_letters_alarm", extra={"letters": length, "alarm": alarm})
