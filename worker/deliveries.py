"""How often the bodies of messages were begun: by it, what ends its workers is told from its neighbours.

The Redis hash `deliveries` has a count by delivery tag, from the first beginning to the acknowledgement. The
transport reads it: what was begun before and comes again had a worker that ended, and goes to quarantine.
"""

from redis import Redis

from worker.broker import broker_errors

KEY = "deliveries"
LIMIT = 5
"""The delivery that is the last."""


class Deliveries:
    """The counts. Thread-safe; every method may raise `BrokerUnavailable`."""

    def __init__(self, client: Redis, key_prefix: str) -> None:
        self._client = client
        self._key = key_prefix + KEY

    def begin(self, tag: str) -> int:
        """Count that the body of this message begins; returns the count."""
        return self._add(tag, 1)

    def lend(self, tag: str) -> None:
        """Take the count back while a process of its own has the work: this one's end is no fault of it."""
        self._add(tag, -1)

    def take_back(self, tag: str) -> None:
        """Count again: the work is this process's again."""
        self._add(tag, 1)

    def _add(self, tag: str, count: int) -> int:
        with broker_errors():
            return int(self._client.hincrby(self._key, tag, count))
