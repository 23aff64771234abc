"""What one process has in hand: claimed, and neither acknowledged nor given back.

It outlives connections. The body of a message goes on while Redis is away, and ends, perhaps, before Redis is
back; then its acknowledgement is owed, and paid on the next connection.
"""

import logging
from dataclasses import dataclass
from enum import Enum, auto
from typing import Any, Protocol

from redis import RedisError

log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Held:
    """A message in hand; `count` says how often its body had begun when it was claimed."""

    payload: dict[str, Any]
    queue: str
    size_bytes: int
    count: int


class Books(Protocol):
    """A connection's access to the records in Redis; every method may raise `RedisError` or `OSError`."""

    def settle(self, tag: str) -> None:
        """Forget a message."""

    def give_back(self, tag: str, held: Held, *, unless_begun: bool) -> bool:
        """Put it back into its queue as if it had never been taken; answers whether it stays in hand."""


class _Debt(Enum):
    SETTLE = auto()
    GIVE_BACK = auto()
    GIVE_BACK_UNLESS_BEGUN = auto()


class InHand:
    """The messages in hand, by delivery tag. Used by the event loop's thread alone."""

    def __init__(self) -> None:
        self._books: Books | None = None
        self._held: dict[str, Held] = {}
        self._owed: dict[str, tuple[_Debt, Held | None]] = {}

    def use(self, books: Books) -> None:
        """Go on with this connection.

        celery drops what had not begun when the connection before was lost: it is given back.
        """
        if books is self._books:
            return
        self._books = books
        for tag in list(self._held):
            self.let_go(tag)
        self.pay()

    def leave(self, books: Books) -> None:
        """That connection is closed."""
        if books is self._books:
            self._books = None

    def take(self, tag: str, held: Held) -> None:
        """It was claimed."""
        self._held[tag] = held

    def finish(self, tag: str) -> None:
        """It is done with; to be said of what was given back meanwhile, too."""
        self._owe(tag, _Debt.SETTLE)

    def give_back(self, tag: str) -> None:
        """Its body ended before its end."""
        if tag in self._held or tag in self._owed:
            self._owe(tag, _Debt.GIVE_BACK)

    def let_go(self, tag: str) -> None:
        """Nobody will begin its body; one that has begun goes on."""
        if tag in self._held:
            self._owe(tag, _Debt.GIVE_BACK_UNLESS_BEGUN)

    def forget(self, tags: list[str]) -> None:
        """These are in other hands by now, or done with."""
        for tag in tags:
            self._held.pop(tag, None)

    @property
    def tags(self) -> list[str]:
        """What is being worked on, or waits for it."""
        return list(self._held)

    def __len__(self) -> int:
        return len(self._held)

    @property
    def size_bytes(self) -> int:
        """The bytes of all of it."""
        return sum(held.size_bytes for held in self._held.values())

    def count(self, queue: str) -> int:
        """How many came from this queue."""
        return sum(held.queue == queue for held in self._held.values())

    def pay(self) -> None:
        """Write down what is owed; what can't be written now is kept for the next time."""
        while self._owed and self._books is not None:
            tag, (debt, held) = next(iter(self._owed.items()))
            try:
                stays = _write(self._books, tag, debt, held)
            except (RedisError, OSError) as error:
                log.warning("acknowledgements_owed", extra={"messages": len(self._owed), "error": str(error)})
                return
            del self._owed[tag]
            if stays and held is not None:
                self._held[tag] = held

    def _owe(self, tag: str, debt: _Debt) -> None:
        behind = bool(self._owed)  # Redis is away, and every attempt may block: left to the timer's `pay`
        held = self._held.pop(tag, None) or self._owed.get(tag, (debt, None))[1]
        self._owed[tag] = (debt, held)
        if not behind:
            self.pay()


def _write(books: Books, tag: str, debt: _Debt, held: Held | None) -> bool:
    if debt is _Debt.SETTLE or held is None:
        books.settle(tag)
        return False
    return books.give_back(tag, held, unless_begun=debt is _Debt.GIVE_BACK_UNLESS_BEGUN)
