"""What became of a batch of events, and what is left to do about it."""

from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass, field

from recommender.errors import PermanentError, TransientError
from worker.plan import Event


@dataclass(frozen=True, slots=True)
class Failure:
    """One document that failed for good, or one image of it, for the dead letters."""

    event: Event
    error: PermanentError
    image: str | None = None


@dataclass(frozen=True, slots=True)
class Retry:
    """One event that met a passing failure and wrote nothing."""

    event: Event
    error: TransientError


@dataclass(slots=True)
class Report:
    """Every event of a batch is in exactly one of applied, stale, unchanged, retry and rest.

    `stale` events are older than what is stored; `unchanged` ones were repeated; `rest` was not begun. A
    failure names what is missing from an event that was applied. `took_s` is what the stages took, by name:
    fetch and decode are sums over the threads, embed is how long images were with the encoder. `embedded` of
    `images` were new.
    """

    applied: list[Event] = field(default_factory=list)
    stale: list[Event] = field(default_factory=list)
    unchanged: list[Event] = field(default_factory=list)
    failed: list[Failure] = field(default_factory=list)
    retry: list[Retry] = field(default_factory=list)
    rest: list[Event] = field(default_factory=list)
    took_s: dict[str, float] = field(default_factory=lambda: defaultdict(float))
    images: int = 0
    embedded: int = 0

    def again(self, events: Iterable[Event], error: TransientError) -> None:
        """Note that these wrote nothing and must come again."""
        self.retry += [Retry(event, error) for event in events]


def covered_s(spans: Iterable[tuple[float, float]]) -> float:
    """How long at least one of these spans of time, each from and to, went on."""
    total = until = 0.0
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total
