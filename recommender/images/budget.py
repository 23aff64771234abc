"""How much one process has in hand at a time: what bounds its memory."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class Budget:
    """A weighted semaphore, first come first served; any thread may use it.

    One giant or many small ones: what is larger than the limit has the budget to itself. A giant that
    waits is not starved, since those that come after it wait behind it.
    """

    def __init__(self) -> None:
        self._in_hand = 0
        self._waiting: deque[object] = deque()
        self._changed = Condition()

    @contextmanager
    def hold(self, weight: int, limit: int) -> Iterator[None]:
        """Blocks until `weight` makes at most `limit` with what is in hand; it is so until the block ends.

        Whoever holds some must not ask the same budget for more: two that do so could wait for each
        other for ever.
        """
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is ticket and self._has_room(weight, limit))
                self._in_hand += weight
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._in_hand -= weight
                self._changed.notify_all()

    def _has_room(self, weight: int, limit: int) -> bool:
        return self._in_hand == 0 or self._in_hand + weight <= limit
