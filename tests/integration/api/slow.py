"""A shop whose questions wait until they are let go: it stands in for time."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from threading import Event, Semaphore
from typing import Any

from recommender.similar import Recommender
from tests.shop import Shop, asking


@dataclass
class Gate:
    """Questions that have begun count themselves in `begun`, and go on once `go` is set."""

    recommender: Recommender
    begun: Semaphore = field(default_factory=lambda: Semaphore(0))
    go: Event = field(default_factory=Event)

    def similar(self, question: Any) -> Any:
        self.begun.release()
        assert self.go.wait(60), "nobody let it go"
        return self.recommender.similar(question)

    def __getattr__(self, name: str) -> Any:
        return getattr(self.recommender, name)

    def wait_for(self, count: int) -> None:
        for _ in range(count):
            assert self.begun.acquire(timeout=30), "it did not begin"


@contextmanager
def gated(shop: Shop, **api: Any) -> Iterator[tuple[Shop, Gate]]:
    """The shop behind a gate, with other settings of its API; what waits is let go at the end."""
    gate = Gate(shop.recommender)
    settings = shop.settings.model_copy(update={"api": shop.settings.api.model_copy(update=api)})
    try:
        yield replace(asking(shop, gate), settings=settings), gate
    finally:
        gate.go.set()
