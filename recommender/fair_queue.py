"""A queue whose callers are served in turn. Not thread-safe."""

from collections import deque
from collections.abc import Callable, Hashable
from typing import Generic, TypeVar

T = TypeVar("T")


def _any(_: object) -> bool:
    return True


class FairQueue(Generic[T]):
    """First in, first out for each caller, and one item of each in turn."""

    def __init__(self) -> None:
        self._waiting: dict[Hashable, deque[T]] = {}  # in the order of their turns
        self._size = 0

    def __len__(self) -> int:
        return self._size

    def count(self, caller: Hashable) -> int:
        """How many items of this caller wait."""
        return len(self._waiting.get(caller, ()))

    def put(self, caller: Hashable, item: T) -> None:
        """Queue an item behind those of its caller."""
        self._waiting.setdefault(caller, deque()).append(item)
        self._size += 1

    def take(self, fits: Callable[[T], bool] = _any) -> T | None:
        """Take the item whose turn it is; its caller's next one comes after everybody else's.

        Callers whose next item doesn't fit are passed over and keep their turn; None if nobody's fits.
        """
        for caller, items in self._waiting.items():
            if fits(items[0]):
                del self._waiting[caller]
                item = items.popleft()
                self._size -= 1
                if items:
                    self._waiting[caller] = items
                return item
        return None
