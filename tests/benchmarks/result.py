"""Raw results: one JSON file a row, written as soon as the row has ended."""

import json
import statistics
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

FOLDER = Path(__file__).parents[2] / "bench"


@dataclass
class Figure:
    """One thing that was measured: a value a round, round i of all figures of a row side by side in time."""

    name: str
    what: str
    unit: str
    values: list[float] = field(default_factory=list)
    px: int | None = None

    @property
    def median(self) -> float:
        return statistics.median(self.values)

    @property
    def spread(self) -> str:
        return f"{short(min(self.values))} to {short(max(self.values))}"

    def __str__(self) -> str:
        return f"{short(self.median)} ({self.spread})"


@dataclass
class Result:
    """All of one row; `tried` is what was measured once, to find the best settings."""

    row: str
    figures: list[Figure] = field(default_factory=list)
    tried: list[dict[str, Any]] = field(default_factory=list)
    facts: dict[str, Any] = field(default_factory=dict)
    machine: dict[str, Any] = field(default_factory=dict)
    made: str = field(default_factory=lambda: datetime.now(UTC).isoformat(timespec="seconds"))

    def figure(self, name: str, what: str = "", *, unit: str = "images/s", px: int | None = None) -> Figure:
        """The figure of that name, a new one the first time."""
        for known in self.figures:
            if (known.name, known.px) == (name, px):
                return known
        self.figures.append(Figure(name, what, unit, px=px))
        return self.figures[-1]

    def find(self, name: str, px: int | None = None) -> Figure | None:
        """The figure of that name, if it was measured."""
        return next((known for known in self.figures if (known.name, known.px) == (name, px)), None)

    def need(self, name: str, px: int | None = None) -> Figure:
        """The figure of that name, which the row always has."""
        found = self.find(name, px)
        if found is None:
            raise KeyError(f"{self.row} has no figure {name!r}")
        return found

    def limit(self, px: int) -> Figure:
        """What F and D allow: on a CPU they share the cores, a GPU works beside them."""
        forward, decode = self.need("F").values, self.need("D", px).values
        beside = self.facts.get("device") == "cuda"
        values = list(map(min, forward, decode)) if beside else limit(forward, decode)
        return Figure("limit", "", "images/s", values, px)

    def sides(self) -> list[int]:
        """The longer sides that were measured, in px."""
        return sorted({figure.px for figure in self.figures if figure.px is not None})

    def write(self, folder: Path = FOLDER) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        text = json.dumps(asdict(self), indent=1, ensure_ascii=False)
        (folder / f"{self.row}.json").write_text(f"{text}\n")


def read(folder: Path = FOLDER) -> dict[str, Result]:
    """Every row that has been measured, by name."""
    found = {}
    for path in sorted(folder.glob("*.json")):
        raw = json.loads(path.read_text())
        raw["figures"] = [Figure(**figure) for figure in raw["figures"]]
        found[raw["row"]] = Result(**raw)
    return found


def limit(forward: Iterable[float], decode: Iterable[float]) -> list[float]:
    """1 / (1/F + 1/D) a round: on a CPU both share the cores."""
    return [1 / (1 / f + 1 / d) for f, d in zip(forward, decode, strict=True)]


def ratio(ours: Iterable[float], theirs: Iterable[float]) -> float:
    """The median of the rounds' ratios, so that a machine that slows down counts for both sides."""
    return statistics.median(a / b for a, b in zip(ours, theirs, strict=True))


def short(value: float) -> str:
    """Three digits."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"
