"""The pairs of collection and encoder that a process has open, and which of them serves.

A question or a message takes its pair once and keeps it to its end, so that whatever it answers or writes is
of one encoder. A pair is closed when nothing uses it any more, which is counted, not guessed.
"""

import time
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from threading import Lock

from config.settings import EncoderSettings
from recommender import metrics
from recommender.encoders.batcher import DynamicBatcher
from recommender.encoders.protocol import Encoder
from recommender.errors import PairMissing
from recommender.index.protocol import ProductIndex
from recommender.similar import Recommender

LOOKED_WITHIN_S = 5.0
"""How old what is known of swaps may be when a message begins; well below `swap_state.FORGOTTEN_S`."""


@dataclass(frozen=True, eq=False)
class Pair:
    """A collection and its encoder, with what asks and fills it. Thread-safe, save `encoder`."""

    encoder: Encoder
    batcher: DynamicBatcher
    index: ProductIndex
    recommender: Recommender
    settings: EncoderSettings
    """What the encoder was loaded by."""
    _closing: "ExitStack[None]" = field(repr=False)

    @property
    def fingerprint(self) -> str:
        """The encoder's, which is the collection's."""
        return self.index.fingerprint

    def closes_with(self, close: Callable[[], None]) -> None:
        """Have something that was made of the pair closed before it; called by who uses the pair."""
        self._closing.callback(close)

    def close(self) -> None:
        """Close all of it, the last made first; safe to call twice. Blocks until its batches are done."""
        self._closing.close()


class Serving:
    """The open pairs. Any thread takes them; one thread, `Follower`'s, opens and closes them.

    Args:
        first: the pair that serves at first.
    """

    def __init__(self, first: Pair) -> None:
        self._lock = Lock()
        self._current = first
        self._open: tuple[Pair, ...] = (first,)
        self._retired: list[Pair] = []
        self._users: Counter[Pair] = Counter()
        self._missing: str | None = None
        self._look: Callable[[], None] | None = None
        self._looked_at = float("-inf")
        self._tell()

    @property
    def current(self) -> Pair:
        """The pair that new questions use. It may be closed at any time: to use it, take it by `lease`."""
        return self._current

    def pairs(self) -> tuple[Pair, ...]:
        """All that are open, the serving one first."""
        with self._lock:
            return self._in_order()

    @contextmanager
    def lease(self) -> Iterator[Pair]:
        """The pair that serves, for one question: it stays open, and the same, to the end of the context."""
        with self._lock:
            pair = self._current
            self._users[pair] += 1
        try:
            yield pair
        finally:
            self._give_back([pair])

    @contextmanager
    def lease_all(self) -> Iterator[Iterator[tuple[Pair, ...]]]:
        """The pairs that a message must be written to, for `for pairs in ...` within the context.

        Gives the open ones, the serving one first; then those that were opened meanwhile, until there are
        none: whoever has gone through all of them, and acknowledges then, leaves out no pair that any other
        process may count on.

        Raises:
            PairMissing: while it is gone through: a pair of the running swap is not open in this process.
            TransientError: while it is gone through: whether there is a swap can't be found out.
        """
        held: list[Pair] = []
        try:
            yield iter(lambda: self._take_others(held), ())
        finally:
            self._give_back(held)

    # Called by the follower.

    def looks_by(self, look: Callable[[], None]) -> None:
        """Have `look` called before a message when the last `looked` is too long ago.

        It may raise a `TransientError`, and calls `looked` otherwise. Without it nothing ever changes.
        """
        self._look = look

    def looked(self, missing: str | None) -> None:
        """It is known now what must be open; `missing` says what is not, and why."""
        with self._lock:
            self._missing = missing
            self._looked_at = time.monotonic()

    def add(self, pair: Pair) -> None:
        """A pair is open."""
        with self._lock:
            self._open = (*self._open, pair)
            self._tell()

    def serve(self, pair: Pair) -> None:
        """Let new questions use one of the open pairs."""
        with self._lock:
            assert pair in self._open
            self._current = pair
            self._tell()

    def retire(self, pair: Pair) -> None:
        """Give this pair, which does not serve, to nobody any more."""
        with self._lock:
            assert pair is not self._current
            self._open = tuple(other for other in self._open if other is not pair)
            self._retired.append(pair)
        metrics.PAIR_SERVES.remove(pair.fingerprint)

    def unused(self) -> list[Pair]:
        """Let go of the retired pairs that nobody uses; they are the caller's to close."""
        with self._lock:
            unused = [pair for pair in self._retired if not self._users[pair]]
            self._retired = [pair for pair in self._retired if self._users[pair]]
            for pair in unused:
                del self._users[pair]
        return unused

    def fingerprints(self) -> tuple[str, ...]:
        """Those of all pairs that are open or still in use."""
        with self._lock:
            return tuple(pair.fingerprint for pair in (*self._in_order(), *self._retired))

    def close(self) -> None:
        """Close every pair; what still uses one gets `ShuttingDown`."""
        with self._lock:
            pairs = (*self._in_order(), *self._retired)
            self._retired = []
        with ExitStack() as stack:
            for pair in pairs:
                stack.callback(pair.close)

    def _take_others(self, held: list[Pair]) -> tuple[Pair, ...]:
        if self._look is not None and time.monotonic() - self._looked_at > LOOKED_WITHIN_S:
            self._look()
        with self._lock:
            if self._missing is not None:
                raise PairMissing(self._missing)
            others = tuple(pair for pair in self._in_order() if pair not in held)
            self._users.update(others)
            held += others
        return others

    def _give_back(self, pairs: Sequence[Pair]) -> None:
        with self._lock:
            self._users.subtract(pairs)

    # With the lock held.

    def _in_order(self) -> tuple[Pair, ...]:
        return (self._current, *(pair for pair in self._open if pair is not self._current))

    def _tell(self) -> None:
        for pair in self._open:
            metrics.PAIR_SERVES.labels(pair.fingerprint).set(pair is self._current)
