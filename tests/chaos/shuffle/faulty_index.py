"""A ProductIndex that delays, fails, and leaves open whether a write has landed."""

import time
from collections import Counter
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, wait
from random import Random
from threading import Lock
from typing import Any

from recommender.errors import IndexUnavailable
from recommender.index.protocol import ProductIndex, StoredProduct, Write

READ_FAULTS = ("read refused",)
WRITE_FAULTS = ("refused", "landed", "half landed", "lands later")
_READ_SHARE, _WRITE_SHARE = 0.05, 0.35
_LONGEST_S = 0.004


class FaultyIndex:
    """Any thread may call it. Every fault is an `IndexUnavailable`.

    - `refused`: nothing was written; `read refused`: nothing was read;
    - `landed`: all was written, and the answer got lost;
    - `half landed`: a part was written;
    - `lands later`: it timed out, and is written while others already go on.
    """

    def __init__(self, index: ProductIndex, counts: Counter[str]) -> None:
        self.index = index
        self.counts = counts
        self._lock = Lock()
        self._chance = Random()
        self._faults = 0
        self._delays = False
        self._late: list[Future[Any]] = []
        self._threads = ThreadPoolExecutor(4, thread_name_prefix="late")

    def __getattr__(self, name: str) -> Any:
        return getattr(self.index, name)

    def misbehave(self, chance: Random, faults: int) -> None:
        """From now on delay at random, and fail so many times."""
        with self._lock:
            self._chance, self._faults, self._delays = chance, faults, True

    def settle(self) -> None:
        """Behave from now on; blocks until the last late write has landed."""
        with self._lock:
            self._faults, self._delays = 0, False
        wait(self._late)
        for late in self._late:
            late.result()
        self._late.clear()

    def close(self) -> None:
        self._threads.shutdown()

    def read(self, ids: Sequence[str], *, vectors: bool = False) -> dict[str, StoredProduct]:
        if self._draw(READ_FAULTS, _READ_SHARE):
            raise IndexUnavailable("injected: not read")
        stored = self.index.read(ids, vectors=vectors)
        self._delay()  # what was read grows old
        return stored

    def write(self, writes: Sequence[Write]) -> set[str]:
        fault = self._draw(WRITE_FAULTS, _WRITE_SHARE)
        if fault is None:
            lost = self.index.write(writes)
            with self._lock:
                self.counts["races lost"] += len(lost)
            self._delay()
            return lost
        if fault == "landed":
            self.index.write(writes)
        elif fault == "half landed":
            self.index.write([write for write in writes if self._flip()])
        elif fault == "lands later":
            self._late.append(self._threads.submit(self._write_later, list(writes)))
        raise IndexUnavailable(f"injected: {fault}")

    def _write_later(self, writes: Sequence[Write]) -> None:
        self._delay()
        self.index.write(writes)

    def _draw(self, faults: Sequence[str], share: float) -> str | None:
        with self._lock:
            if not self._faults or self._chance.random() > share:
                return None
            self._faults -= 1
            fault = self._chance.choice(faults)
            self.counts[fault] += 1
            return fault

    def _flip(self) -> bool:
        with self._lock:
            return self._chance.random() < 0.5

    def _delay(self) -> None:
        with self._lock:
            seconds = self._chance.random() * _LONGEST_S if self._delays else 0.0
        if seconds:
            time.sleep(seconds)
