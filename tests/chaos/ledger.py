"""The independent book: what was published, and what must therefore be found.

It asks the public API and the stream of dead letters; it never asks the code that is tested how it went.
"""

import json
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, combinations
from threading import Lock
from typing import Any

from tests.chaos.fold import Document, Event, Kind, fold

UNSURE_AT_MOST = 10
"""Events of one product whose publishing failed: each doubles what may be found."""


@dataclass(frozen=True)
class Cause:
    """A fault that was injected, and the dead letter that it must have: known by a text of its own."""

    token: str
    reasons: frozenset[str]

    def explains(self, letter: Mapping[str, str]) -> bool:
        """Whether the letter is about this fault, and says what it may say of it."""
        return letter["reason"] in self.reasons and self.names(letter)

    def names(self, letter: Mapping[str, str]) -> bool:
        """Whether the letter is about this fault."""
        return any(self.token in text for text in letter.values())


@dataclass
class Ledger:
    """What any thread published. A publish that returned is held; one that raised may have happened."""

    messages: int = 0
    documents: int = 0
    causes: list[Cause] = field(default_factory=list)
    broken: set[str] = field(default_factory=set)
    """URIs of images that can't be embedded."""
    _events: dict[str, dict[int, Event]] = field(default_factory=lambda: defaultdict(dict))
    _lock: Lock = field(default_factory=Lock)

    def note(self, kind: Kind, documents: Iterable[Document], *, held: bool) -> None:
        """Enter one message."""
        with self._lock:
            self.messages += 1
            for document in documents:
                event = Event(kind, document, held)
                known = self._events[event.id].get(event.version)
                assert known is None or known.document == document, "one version, two events"
                if known is None or held:
                    self._events[event.id][event.version] = event
                self.documents += 1

    def inject(self, token: str, *reasons: str) -> None:
        """Enter a fault: it must have a dead letter, and gives a reason to no other."""
        self.causes.append(Cause(token, frozenset(reasons)))

    def absent(self, identity: str) -> None:
        """Enter a product that must never be found."""
        self._events[identity] = {}

    def ids(self) -> list[str]:
        """Every product of the book."""
        with self._lock:
            return list(self._events)

    def may_be(
        self, identity: str, excused: frozenset[tuple[str, int]] = frozenset()
    ) -> Iterator[Document | None]:
        """What may be found of a product, the likeliest first.

        `excused` are id and version of what is in the dead letters for an injected cause.
        """
        with self._lock:
            events = list(self._events[identity].values())
        held = [event for event in events if event.held and (identity, event.version) not in excused]
        unsure = [event for event in events if event not in held][-UNSURE_AT_MOST:]
        sizes = range(len(unsure), -1, -1)
        for chosen in chain.from_iterable(combinations(unsure, size) for size in sizes):
            yield fold([*held, *chosen])


@dataclass(frozen=True)
class Letters:
    """The dead letters, held against the faults that were injected."""

    excused: frozenset[tuple[str, int]]
    unexplained: tuple[str, ...]
    missing: tuple[str, ...]


def read_letters(causes: Sequence[Cause], letters: Sequence[Mapping[str, str]]) -> Letters:
    """A letter that no injected fault explains, and a fault without a letter, are violations."""
    excused: set[tuple[str, int]] = set()
    unexplained: list[str] = []
    explained: set[Cause] = set()
    for letter in letters:
        why = [cause for cause in causes if cause.explains(letter)]
        explained.update(why)
        if not why:
            said = {name: text[:200] for name, text in letter.items()}
            unexplained.append(f"a dead letter whose cause was not injected: {said}")
        elif not letter["image"]:  # one that names an image says that the rest was applied
            excused.update(_versions(letter["document"]))
    missing = [f"no dead letter of {sorted(c.reasons)} for {c.token}" for c in causes if c not in explained]
    return Letters(frozenset(excused), tuple(unexplained), tuple(missing))


def _versions(text: str) -> Iterator[tuple[str, int]]:
    try:
        found: Any = json.loads(text)
    except (ValueError, RecursionError):  # some of it was never JSON
        return
    for document in found if isinstance(found, list) else [found]:
        match document:
            case {"id": str(identity), "version": int(version)}:
                yield identity, version
