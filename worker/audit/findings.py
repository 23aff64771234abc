"""What an audit has found, gathered kind by kind: counts, who is to be repaired, and the first examples."""

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field

from worker.audit.kinds import Kind
from worker.audit.texts import Texts

MOST_REASONS = 50
OTHER_REASONS = "other reasons"


@dataclass(frozen=True, slots=True)
class Example:
    """One of the first that were found. `image` is the URI that it is about, `also` are other products.

    `title` is that of the feed, where the index knows no such product.
    """

    id: str
    detail: str = ""
    image: str | None = None
    also: tuple[str, ...] = ()
    title: str | None = None


@dataclass(slots=True)
class Found:
    """All that was found of one kind: `ids` are the products that its repair is about."""

    kind: Kind
    most_examples: int
    ids: Texts = field(default_factory=Texts)
    count: int = 0
    examples: list[Example] = field(default_factory=list)
    reasons: Counter[str] = field(default_factory=Counter)

    def add(self, example: Example) -> None:
        """Count one; the first are kept as examples."""
        self.count += 1
        if self.kind.repair is not None:
            self.ids.add(example.id)
        if len(self.examples) < self.most_examples:
            self.examples.append(example)

    def because(self, reason: str) -> None:
        """Count why; reasons that are too many count as others."""
        known = reason in self.reasons or len(self.reasons) < MOST_REASONS
        self.reasons[reason if known else OTHER_REASONS] += 1


class Findings:
    """What was looked for, and what was found of it; `not_looked_at` says what could not be."""

    def __init__(self, most_examples: int) -> None:
        self.not_looked_at: list[str] = []
        self._most_examples = most_examples
        self._found: dict[str, Found] = {}

    def look_for(self, *kinds: Kind) -> None:
        """Have these in the report, found or not."""
        for kind in kinds:
            self._found.setdefault(kind.name, Found(kind, self._most_examples))

    def __getitem__(self, kind: Kind) -> Found:
        return self._found[kind.name]

    def __iter__(self) -> Iterator[Found]:
        return iter(self._found.values())

    @property
    def is_clean(self) -> bool:
        """Whether nothing was found."""
        return not any(found.count for found in self)
