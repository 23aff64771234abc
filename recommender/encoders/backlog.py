"""What waits for the encoder: two priorities, and the callers of each served in turn. Not thread-safe."""

from collections.abc import Hashable
from concurrent.futures import Future, InvalidStateError
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial
from threading import Lock
from typing import Any, Literal
from weakref import WeakSet

import numpy as np
from numpy.typing import NDArray

from recommender import metrics
from recommender.fair_queue import FairQueue

Kind = Literal["image", "text"]
Priority = Literal["urgent", "ordinary"]
PRIORITIES: tuple[Priority, ...] = ("urgent", "ordinary")
Row = NDArray[np.float32]
"""(D,) float32 on the host, unit L2 norm."""


@dataclass(slots=True, eq=False)
class Call:
    """Inputs that stand and fall together: once one has failed, nobody waits for the others."""

    failed: bool = False


@dataclass(slots=True, eq=False)
class Item:
    """One input. Its future is running from when a batch takes it; before, it can be cancelled."""

    kind: Kind
    payload: Any
    call: Call
    future: "Future[Row]" = field(default_factory=Future)

    def answer(self, row: Row) -> None:
        """Answer, unless it was failed meanwhile."""
        with suppress(InvalidStateError):
            self.future.set_result(row)

    def fail(self, error: BaseException) -> None:
        """Answer with an error, unless it has an answer."""
        self.call.failed = True
        with suppress(InvalidStateError):
            self.future.set_exception(error)


class Backlog:
    """A fair queue a priority."""

    def __init__(self) -> None:
        self._queues: dict[Priority, FairQueue[Item]] = {priority: FairQueue() for priority in PRIORITIES}
        with _adding:
            _all.add(self)

    def __len__(self) -> int:
        return sum(map(len, self._queues.values()))

    def waiting(self, priority: Priority) -> int:
        """How many items of a priority wait."""
        return len(self._queues[priority])

    def has_room(self, priority: Priority, caller: Hashable, at_most: int) -> bool:
        """Whether one more item may wait beside `at_most` others.

        Whoever has nothing queued may always queue one, or a greedy caller would keep the others out.
        """
        queue = self._queues[priority]
        return len(queue) < at_most or not queue.count(caller)

    def put(self, priority: Priority, caller: Hashable, item: Item) -> None:
        """Queue an item."""
        self._queues[priority].put(caller, item)

    def take(self, at_most: int) -> list[Item]:
        """Take a batch of one kind, the urgent items first; those that nobody waits for are dropped."""
        batch: list[Item] = []

        def fits(item: Item) -> bool:
            return not batch or item.kind == batch[0].kind

        for queue in self._queues.values():
            while len(batch) < at_most and (item := queue.take(fits)) is not None:
                if not item.call.failed and item.future.set_running_or_notify_cancel():
                    batch.append(item)
        return batch

    def take_all(self) -> list[Item]:
        """Take whatever waits, of any kind."""
        batches = iter(lambda: self.take(len(self)), [])
        return [item for batch in batches for item in batch]


_all: "WeakSet[Backlog]" = WeakSet()
"""Those of all encoders of the process."""
_adding = Lock()


def _waiting(priority: Priority) -> int:
    with _adding:
        return sum(backlog.waiting(priority) for backlog in _all)


for _priority in PRIORITIES:
    metrics.ENCODE_QUEUE_DEPTH.labels(_priority).set_function(partial(_waiting, _priority))
