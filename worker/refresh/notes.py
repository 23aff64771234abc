"""What the parts of a refresh leave for its later steps: bytes in Redis hashes, for a day.

One hash a kind of note, `{catalog}:refresh:{job}:{run}:{kind}`, from a part's number to what it noted. A
part that is done again writes the same place.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from redis import Redis
from redis.client import NEVER_DECODE

from worker.broker import broker_errors
from worker.jobs.first import DAY_S

_AT_ONCE = 64


class NotesLost(Exception):
    """Notes that a step needs are gone from Redis: they were older than a day, or Redis forgot them."""


@dataclass(frozen=True)
class Notes:
    """The notes of one run of one job. All methods raise `BrokerUnavailable` where Redis is away."""

    client: Redis
    prefix: str

    def put(self, number: int, **notes: bytes) -> None:
        """Note what a part found, under each kind."""
        with broker_errors(), self.client.pipeline(transaction=False) as pipe:
            for kind, noted in notes.items():
                pipe.hset(self._key(kind), str(number), noted)
                pipe.expire(self._key(kind), DAY_S)
            pipe.execute()

    def get(self, kind: str, parts: int) -> Iterator[bytes]:
        """What the parts 0 to `parts` - 1 noted.

        Raises:
            NotesLost: one of them is missing.
        """
        for start in range(0, parts, _AT_ONCE):
            fields = [str(number) for number in range(start, min(start + _AT_ONCE, parts))]
            with broker_errors():
                # The client decodes answers as text, but for commands that are told otherwise.
                asked: Any = {NEVER_DECODE: True}
                found: Any = self.client.execute_command("HMGET", self._key(kind), *fields, **asked)  # type: ignore[no-untyped-call]
            if None in found:
                raise NotesLost(f"{self._key(kind)}: a part of {parts} is missing")
            yield from found

    def drop(self, *kinds: str) -> None:
        """Forget them."""
        with broker_errors():
            self.client.delete(*(self._key(kind) for kind in kinds))

    def _key(self, kind: str) -> str:
        return f"{self.prefix}:{kind}"
