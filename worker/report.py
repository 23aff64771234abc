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

    def left(self) -> set[int]:
        """The identities (`id`) of the events that are not settled: to be retried, or not begun."""
        return {id(retry.event) for retry in self.retry} | {id(event) for event in self.rest}


def both(first: Report, second: Report) -> Report:
    """What became of events that two indexes were given: all of them the first, what it settled the second.

    An event is settled where both settled it, and then what it was to the first. Of one that must come again
    no failure is told yet; of an image that failed in both, one.
    """
    left = first.left() | second.left()

    def settled(events: Iterable[Event]) -> list[Event]:
        return [event for event in events if id(event) not in left]

    failures = {(id(f.event), f.image): f for f in (*second.failed, *first.failed) if id(f.event) not in left}
    took_s = defaultdict(float, first.took_s)
    for stage, took in second.took_s.items():
        took_s[stage] += took
    return Report(
        settled(first.applied),
        settled(first.stale),
        settled(first.unchanged),
        list(failures.values()),
        [*first.retry, *second.retry],
        [*first.rest, *second.rest],
        took_s,
        first.images + second.images,
        first.embedded + second.embedded,
    )


def covered_s(spans: Iterable[tuple[float, float]]) -> float:
    """How long at least one of these spans of time, each from and to, went on."""
    total = until = 0.0
    for begin, end in sorted(spans):
        total += max(0.0, end - max(begin, until))
        until = max(until, end)
    return total
