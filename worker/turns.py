"""One message at a time a product, within this process.

Messages that repeat an event are in hand together. Were they worked on together, each would fetch and embed
what the others do, and all but one lose the race; in turn, the second finds what the first has written.
Between processes the index's compare-and-swap decides.
"""

from collections.abc import Iterable, Sequence
from threading import Condition

from worker.plan import Group


class Turns:
    """The products in hand. Thread-safe.

    Whoever waits for a turn must have given all others back: two could wait for each other for ever.
    """

    def __init__(self) -> None:
        self._taken: set[str] = set()
        self._changed = Condition()

    def take(self, groups: Sequence[Group]) -> tuple[list[Group], list[Group]]:
        """Take the turns of those products that are free; returns those groups, and the others."""
        with self._changed:
            mine = [group for group in groups if group.id not in self._taken]
            others = [group for group in groups if group.id in self._taken]
            self._taken.update(group.id for group in mine)
        return mine, others

    def give_back(self, groups: Iterable[Group]) -> None:
        """Let others have the turns of these products."""
        with self._changed:
            self._taken.difference_update(group.id for group in groups)
            self._changed.notify_all()

    def wait(self, groups: Sequence[Group], at_most_s: float) -> None:
        """Block until one of these products is free, or the time is up."""
        with self._changed:
            self._changed.wait_for(lambda: any(group.id not in self._taken for group in groups), at_most_s)
