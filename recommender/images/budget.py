"""How many pixels one process decodes at a time: what bounds its memory."""

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Condition


class PixelBudget:
    """A weighted semaphore, first come first served; any thread may use it.

    One giant or many small ones: an image that is larger than the whole budget has it to itself. A
    giant that waits is not starved, since those that come after it wait behind it.
    """

    def __init__(self, pixels: int) -> None:
        self._pixels = pixels
        self._in_hand = 0
        self._waiting: deque[object] = deque()
        self._changed = Condition()

    @contextmanager
    def hold(self, pixels: int) -> Iterator[None]:
        """Blocks until there is room for so many pixels; they are in hand until the block ends.

        Whoever holds some must not ask for more: two that do so could wait for each other for ever.
        """
        ticket = object()
        with self._changed:
            self._waiting.append(ticket)
            try:
                self._changed.wait_for(lambda: self._waiting[0] is ticket and self._has_room(pixels))
                self._in_hand += pixels
            finally:
                self._waiting.remove(ticket)
                self._changed.notify_all()
        try:
            yield
        finally:
            with self._changed:
                self._in_hand -= pixels
                self._changed.notify_all()

    def _has_room(self, pixels: int) -> bool:
        return self._in_hand == 0 or self._in_hand + pixels <= self._pixels
