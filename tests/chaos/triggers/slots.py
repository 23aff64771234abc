"""One effective run a slot: judged by who read the feed, and when the messages began. No log is asked."""

import json
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import pairwise

from tests.chaos.triggers.names import SLOT_S
from tests.chaos.triggers.store import Read

SURE_S = 0.5
"""From a body's note that it has begun to its claim, at most; over a slot's end, which slot is unsure."""


@dataclass(frozen=True)
class Slots:
    """What happened to scheduled messages, in times of the epoch."""

    sent: frozenset[str]
    began: dict[str, list[float]]
    """When bodies of each message began: the first time it claims a slot, later it goes on."""
    reads: tuple[Read, ...]
    kills: tuple[float, ...]
    """Of the worker."""

    @classmethod
    def of(
        cls, sent: Sequence[str], began: Sequence[str], reads: Sequence[Read], kills: Sequence[float]
    ) -> "Slots":
        """From the notes of beats, worker, object store and killer."""
        times: dict[str, list[float]] = defaultdict(list)
        for message, at in map(json.loads, began):
            times[message].append(at)
        return cls(frozenset(sent), times, tuple(reads), tuple(kills))

    @property
    def readings(self) -> dict[str, list[Read]]:
        """What each message read from the start: the last is the one that counts."""
        found: dict[str, list[Read]] = defaultdict(list)
        for read in self.reads:
            if not read.offset:
                found[read.message].append(read)
        return found

    @property
    def seen(self) -> set[int]:
        """The slots in which a message made its claim for sure."""
        claims = map(self._claimed, self.began)
        return {next(iter(slots)) for slots in claims if len(slots) == 1}

    def violations(self) -> Iterator[str]:
        """What contradicts one effective run a slot, and no message lost."""
        if lost := self.sent - self.began.keys():
            yield f"{len(lost)} scheduled messages were published and never began: {sorted(lost)[:3]}"
        if strangers := self.readings.keys() - self.began.keys():
            yield f"the feed was read for {sorted(strangers)}, which are no scheduled messages"
        runs: dict[int, set[str]] = defaultdict(set)
        for message in self.readings.keys() & self.began.keys():
            for slot in self._claimed(message):
                runs[slot].add(message)
        for slot, messages in runs.items():
            if len(sure := [one for one in messages if self._claimed(one) == {slot}]) > 1:
                yield f"slot {slot} was run by {len(sure)} messages"
        if idle := sorted(slot for slot in self.seen - runs.keys() if not self._read_since(slot)):
            yield f"after {len(idle)} slots in which a message began, none read the feed: {idle[:5]}"
        for message, readings in self.readings.items():
            if any(not self._killed(one.at, other.at) for one, other in pairwise(readings)):
                yield f"{message} read the feed again, though its worker was not killed"

    def _read_since(self, slot: int) -> bool:
        """Whether a run began after this slot's first message: while one runs, those of others are merged."""
        began = [min(self.began[message]) for message in self.began if self._claimed(message) == {slot}]
        return any(read.at >= min(began) for read in self.reads if not read.offset)

    def _claimed(self, message: str) -> set[int]:
        """The slots that it may have claimed: several near a slot's end, or where it was killed first."""
        slots: set[int] = set()
        for at in sorted(self.began[message]):
            slots |= {int(at // SLOT_S), int((at + SURE_S) // SLOT_S)}
            if not self._killed(at, at + SURE_S):
                break
        return slots

    def _killed(self, start: float, end: float) -> bool:
        return any(start <= at <= end for at in self.kills)
