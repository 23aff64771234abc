"""How often the bodies of messages were begun: by it, what ends its workers is told from its neighbours.

The Redis hash `deliveries` has a count by delivery tag, from the first beginning to the acknowledgement. The
transport reads it: what was begun before and comes again had a worker that ended, and goes to quarantine.
"""

from typing import Any

from redis import Redis

from worker.broker import broker_errors

KEY = "deliveries"
UNACKED = "unacked"  # kombu's hash of what is in hand
LIMIT = 5
"""The delivery that is the last."""

# KEYS: deliveries, unacked. ARGV: tag. Answers 0 where the message is in no hand.
_BEGIN = """
if redis.call('HEXISTS', KEYS[2], ARGV[1]) == 0 then return 0 end
return redis.call('HINCRBY', KEYS[1], ARGV[1], 1)
"""

_lent: set[str] = set()


def is_lent(tag: str) -> bool:
    """Whether a process of its own has the work of a body of this process: its count says nothing then."""
    return tag in _lent


class Deliveries:
    """The counts. Thread-safe; every method may raise `BrokerUnavailable`."""

    def __init__(self, client: Redis, key_prefix: str) -> None:
        self._client = client
        self._key = key_prefix + KEY
        self._unacked = key_prefix + UNACKED

    def begin(self, tag: str) -> int:
        """Count that the body of this message begins; returns the count, or 0 if it was given back."""
        with broker_errors():
            count: Any = self._client.eval(_BEGIN, 2, self._key, self._unacked, tag)
        return int(count)

    def lend(self, tag: str) -> None:
        """Take the count back while a process of its own has the work: this one's end is no fault of it."""
        _lent.add(tag)
        self._add(tag, -1)

    def take_back(self, tag: str) -> None:
        """Count again: the work is this process's again."""
        try:
            self._add(tag, 1)
        finally:
            _lent.discard(tag)

    def _add(self, tag: str, count: int) -> None:
        with broker_errors():
            self._client.hincrby(self._key, tag, count)
