"""Looks at products while everything breaks: what was seen once is never older later."""

import random

import httpx

from tests.chaos.background import Background
from tests.chaos.ledger import Ledger
from tests.chaos.scene import Scene

LOOK_EVERY_S = 0.05


class Watch(Background):
    """Asks for one product after the other, on a thread of its own, as long as its context is open.

    A product's version only grows: that of a delete lies between what was found before and after it.
    """

    def __init__(self, stage: Scene, ledger: Ledger) -> None:
        super().__init__()
        self._stage = stage
        self._ledger = ledger
        self._newest: dict[str, int] = {}
        self.looks = 0
        self.problems: list[str] = []

    def work(self) -> None:
        while not self.ends.wait(LOOK_EVERY_S):
            if ids := self._ledger.ids():
                self._look(random.choice(ids))

    def _look(self, identity: str) -> None:
        try:
            response = self._stage.api.get(f"/v1/products/{identity}")
        except httpx.TransportError:  # the worker is dead
            return
        if not response.is_success:
            return
        self.looks += 1
        version = response.json()["version"]
        before = self._newest.get(identity, version)
        if version < before:
            self.problems.append(f"stale: {identity} went back from version {before} to {version}")
        self._newest[identity] = max(version, before)
