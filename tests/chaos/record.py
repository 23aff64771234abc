"""What harness and workers share: a Redis of the harness's own, in which workers write down what they do.

By it a kill proves that it met work in flight; the ledger never reads it. Nobody kills that Redis.
"""

from dataclasses import dataclass
from typing import Any

import redis

URL = "CHAOS_RECORD_URL"
TRANSPORT = "CHAOS_TRANSPORT"
"""Another transport than the shipped one: `redis` is kombu's own."""
VISIBILITY_TIMEOUT_S = 5.0
HANGS_AFTER_S = 3.0
"""What the child for images may take to read one."""
BEGUN, OPEN, ENDED, FIRST_ENDED, EMBEDDED = "begun", "open", "ended", "first_ended", "embedded"
INDEX_AWAY = "index_away"
"""While this key is there, the index fails; see faults.py."""

LETHAL = {"exit": 33, "segfault": 34, "memory": 35, "hang": 36}
"""The width of an image whose decoder does this, in px: nothing that reads a file can leave that out."""


def connect(url: str) -> "redis.Redis":
    return redis.Redis.from_url(url, decode_responses=True)


@dataclass(frozen=True)
class Record:
    """The harness's side."""

    client: "redis.Redis"

    def in_flight(self, pid: int) -> int:
        """How many bodies this process had begun and not ended."""
        return int(self.client.hlen(f"{OPEN}:{pid}"))

    def first_ended(self, pid: int) -> float | None:
        """When this process had finished its first body, as a time of the epoch."""
        at: Any = self.client.get(f"{FIRST_ENDED}:{pid}")
        return None if at is None else float(at)

    def ended(self) -> int:
        """How many bodies have ended."""
        count: Any = self.client.get(ENDED)
        return int(count or 0)

    def begun(self) -> int:
        """How many bodies have begun, every repetition counted."""
        return sum(self._counts(BEGUN))

    def repeats(self) -> int:
        """How many bodies were begun again."""
        return sum(count - 1 for count in self._counts(BEGUN))

    def embedded_again(self) -> int:
        """How often a picture was embedded that had been embedded before."""
        return sum(count - 1 for count in self._counts(EMBEDDED))

    def embedded(self) -> int:
        """How many different pictures were embedded."""
        return int(self.client.hlen(EMBEDDED))

    def _counts(self, name: str) -> list[int]:
        counts: Any = self.client.hvals(name)
        return [int(count) for count in counts]
