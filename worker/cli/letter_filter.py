"""Which dead letters a command is about."""

import re
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from worker.jobs.dead_letters import DeadLetter

_AGE = re.compile(r"([0-9]{1,9})([smhd])")
LONGEST = timedelta(days=36500)
_UNITS = {"s": "seconds", "m": "minutes", "h": "hours", "d": "days"}


def parse_age(text: str) -> timedelta:
    """Read an age: 30s, 15m, 12h, 7d."""
    found = _AGE.fullmatch(text)
    if not found:
        raise typer.BadParameter(f"{text!r} is no age: give a number and s, m, h or d, like 12h")
    age = timedelta(**{_UNITS[found[2]]: int(found[1])})
    if age > LONGEST:
        raise typer.BadParameter(f"{text} is longer than {LONGEST.days} days")
    return age


@dataclass(frozen=True, slots=True)
class LetterFilter:
    """All that is given must hold; of several reasons or products, one. Ages are those of `last_seen`."""

    reasons: tuple[str, ...] = ()
    products: tuple[str, ...] = ()
    older_than: timedelta | None = None
    newer_than: timedelta | None = None

    @property
    def given(self) -> bool:
        """Whether it leaves anything out."""
        return self != LetterFilter()

    def of(self, letters: "Iterable[DeadLetter]") -> "Iterator[DeadLetter]":
        """Those that fit; ages are of now."""
        now = datetime.now(UTC)
        before = None if self.older_than is None else now - self.older_than
        after = None if self.newer_than is None else now - self.newer_than
        for letter in letters:
            seen = datetime.fromisoformat(letter.last_seen)
            if (
                (not self.reasons or letter.reason in self.reasons)
                and (before is None or seen <= before)
                and (after is None or seen >= after)
                and (not self.products or not set(self.products).isdisjoint(letter.products))
            ):
                yield letter
