"""How long what a dead worker held stays in its name."""

import statistics
import time
from dataclasses import dataclass
from threading import Event as Flag
from typing import Any

from tests.chaos.background import Background
from tests.chaos.record import VISIBILITY_TIMEOUT_S
from tests.chaos.scene import Scene

SWEEP_S = 3.0
"""The sweep's interval and throttle, and a second for a busy machine."""
LOOK_EVERY_S = 0.1


@dataclass
class _Held:
    """What was in hand at one kill: delivery tags and when their leases began."""

    leases: dict[str, float]
    killed_at: float
    worked_s: float = 0.0
    """How long workers worked since; while none does, nobody can take over."""


class TakeOvers(Background):
    """Looks on a thread of its own as long as its context is open.

    A message was taken over once its lease is gone, or is a newer one.
    """

    def __init__(self, stage: Scene) -> None:
        super().__init__()
        self._stage = stage
        self._pending: list[_Held] = []
        self.working = Flag()
        self.took_s: list[float] = []
        self.problems: list[str] = []

    def killed(self) -> None:
        """A worker has just been killed."""
        self.working.clear()
        self._pending.append(_Held(self._leases(), time.time()))

    def __str__(self) -> str:
        if not self.took_s:
            return "nothing"
        return f"{statistics.median(self.took_s):.1f} s (median), {max(self.took_s):.1f} s (longest)"

    def work(self) -> None:
        while not self.ends.wait(LOOK_EVERY_S):
            if self._pending:
                self._look(self._leases())

    def _look(self, leases: dict[str, float]) -> None:
        for held in list(self._pending):
            held.worked_s += LOOK_EVERY_S * self.working.is_set()
            left = [tag for tag, since in held.leases.items() if leases.get(tag) == since]
            late = held.worked_s > VISIBILITY_TIMEOUT_S + SWEEP_S
            if late:
                self.problems.append(f"not taken over after {held.worked_s:.0f} s of work: {left}")
            if late or not left:
                self._pending.remove(held)
                self.took_s.append(time.time() - held.killed_at)

    def _leases(self) -> dict[str, float]:
        with self._stage.broker_client() as client:
            leases: Any = client.zrange("unacked_index", 0, -1, withscores=True)
        return dict(leases)
