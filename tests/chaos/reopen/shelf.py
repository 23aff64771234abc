"""Collections that are created, promoted and dropped by a process that is killed meanwhile."""

from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from recommender.catalog import Filter
from recommender.index.embedded import EmbeddedEngine
from recommender.index.embedded_points import EdgeStore
from tests.chaos.reopen.killed import Killed
from tests.chaos.reopen.process import SCHEMA
from tests.chaos.reopen.writes import DIMENSION

Step = dict[str, str]


@dataclass
class Shelf:
    """The collections that must be there, and the one that serves."""

    made: list[str] = field(default_factory=list)
    serving: str | None = None
    numbered: int = 0

    def plan(self, rounds: int) -> list[Step]:
        """New collections, each promoted, then the one before it dropped."""
        steps: list[Step] = []
        before = self.serving
        steps += [{"drop": name} for name in self.made if name != before]
        for _ in range(rounds):
            self.numbered += 1
            name = f"chaos-{self.numbered}"
            steps += [{"create": name}, {"create": name}, {"promote": name}]
            if before is not None:
                steps.append({"drop": before})
            before = name
        return steps

    def take(self, step: Step) -> None:
        """A step that was made."""
        ((action, name),) = step.items()
        if action == "promote":
            self.serving = name
        elif action == "drop":
            self.made.remove(name)
        elif name not in self.made:
            self.made.append(name)


def inspect_shelf(folder: Path, shelf: Shelf, steps: list[Step], killed: Killed) -> list[str]:
    """Open all of it anew and compare; `shelf` learns whether the step in flight was made."""
    for step in steps[: killed.returned]:
        shelf.take(step)
    engine = EmbeddedEngine(folder, SCHEMA)
    try:
        if killed.in_flight and _was_made(engine, steps[killed.returned]):
            shelf.take(steps[killed.returned])
        return list(_compared(folder, engine, shelf))
    finally:
        engine.close()


def _was_made(engine: EmbeddedEngine, step: Step) -> bool:
    ((action, name),) = step.items()
    if action == "promote":
        return engine.serving() == name
    return (name in engine.fingerprints()) == (action == "create")


def _compared(folder: Path, engine: EmbeddedEngine, shelf: Shelf) -> Iterator[str]:
    if engine.fingerprints() != sorted(shelf.made):
        yield f"collections {engine.fingerprints()}, expected {sorted(shelf.made)}"
    if engine.serving() != shelf.serving:
        yield f"{engine.serving()} serves, expected {shelf.serving}"
    for name in engine.fingerprints():
        store = EdgeStore(folder / SCHEMA.collection(name) / "shard", DIMENSION)
        indexed = set(store._shard.info().payload_schema)
        store.close()
        if indexed != set(SCHEMA.payload_indexes):
            yield f"{name}: created with the payload indexes {sorted(indexed)}"
        if engine.open(name).count(Filter()):
            yield f"{name} is not empty"
