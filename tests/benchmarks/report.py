"""docs/benchmarks.md, made of the raw results alone."""

from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import tables
from tests.benchmarks.machines import gpu, in_section, machines
from tests.benchmarks.marks import marks
from tests.benchmarks.result import FOLDER, Result, ratio, read

DOCS = Path(__file__).parents[2] / "docs"
PAGE = "benchmarks.md"
INTRODUCTION = Path(__file__).with_name("introduction.md")
Section = Callable[[dict[str, Result]], str]
SECTIONS: tuple[tuple[Section, tuple[str, ...]], ...] = (
    (tables.throughput, ("throughput-",)),
    (tables.forwards, ("throughput-", "cuda-")),
    (tables.decoding, ("decoding",)),
    (tables.precisions, ("precision-",)),
    (tables.exactness, ("exactness",)),
    (tables.shares, ("throughput-",)),
    (tables.batcher, ("batcher-",)),
    (tables.repeats, ("repeats-",)),
    (tables.growth, ("growth",)),
    (gpu, ("cuda-",)),
)
"""Each with the rows that it is made of."""


def page(results: dict[str, Result]) -> str:
    """The whole of it; a section whose rows were not measured is left out."""
    parts = [INTRODUCTION.read_text(), machines(results) if results else "", marks(results)]
    for section, prefixes in SECTIONS:
        if said := section(results):
            parts.append(said + in_section(results, prefixes))
    return "\n".join(part for part in [*parts, tables.tried(results)] if part)


def write(folder: Path = FOLDER, docs: Path = DOCS) -> None:
    """The page and its plots."""
    from tests.benchmarks import plots  # noqa: PLC0415  # the page alone needs no matplotlib

    results = read(folder)
    (docs / PAGE).write_text(page(results))
    plots.write(results, docs)


def in_short(result: Result) -> str:
    """A few lines for whoever ran it."""
    lines = [f"{result.row}: {result.facts.get('took, s')} s"]
    lines += [
        f"  {f'{figure.px} px ' if figure.px else ''}{figure.name}: {figure} {figure.unit}  [{figure.what}]"
        for figure in result.figures
    ]
    lines += [
        f"  {px} px ours / limit: {ratio(result.need('ours', px).values, result.limit(px).values):.3f}"
        for px in result.sides()
        if result.find("ours", px)
    ]
    return "\n".join(lines)
