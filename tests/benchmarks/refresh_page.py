"""docs/benchmarks-refresh.md, made of the raw results of bench-refresh."""

from pathlib import Path

from tests.benchmarks.report import DOCS
from tests.benchmarks.result import FOLDER as RAW
from tests.benchmarks.result import Result, read, short
from tests.benchmarks.tables import table

FOLDER = RAW / "refresh"
PAGE = "benchmarks-refresh.md"
INTRODUCTION = Path(__file__).with_name("refresh_introduction.md")
KINDS = ("full", "unchanged", "one product changed", "one image changed")


def write(folder: Path = FOLDER) -> None:
    """Beside the other pages; where the results go elsewhere, there."""
    page = (DOCS if folder == FOLDER else folder) / PAGE
    page.write_text(f"{INTRODUCTION.read_text()}\n{section(read(folder)['refresh'])}")


def section(result: Result) -> str:
    """Every kind beside the full one."""
    facts, said = result.facts, result.machine
    full = {name: result.need(f"full: {name}").median for name in ("seconds", "cpu_s")}
    rows = []
    for kind in KINDS:
        seconds, cpu_s = result.need(f"{kind}: seconds"), result.need(f"{kind}: cpu_s")
        rows.append(
            [
                kind,
                str(seconds) if len(seconds.values) > 1 else short(seconds.median),
                f"1 / {short(full['seconds'] / seconds.median)}",
                short(cpu_s.median),
                f"1 / {short(full['cpu_s'] / cpu_s.median)}",
                short(facts["products"] / seconds.median),
                *(short(result.need(f"{kind}: {name}").median) for name in ("embedded", "device_s")),
                _found(facts["reports"][kind][-1]),
            ]
        )
    columns = (
        "refresh",
        "s",
        "of full",
        "processor s",
        "of full",
        "products/s",
        "embedded",
        "device s",
        "found",
    )
    return (
        f"Measured on {said['cores']} cores of {said['processor']} (family/model {said['family']}), "
        f"{said['memory_gib']} GiB; {facts['products']:,} products, a feed of {facts['feed_mib']} MiB, "
        f"images of {facts['px']} px; {facts['rounds']} rounds, the median and (in brackets) the range.\n\n"
        f"{table((*columns, 'found'), rows)}"
    )


def _found(report: dict[str, int]) -> str:
    names = {"new": "new", "changed": "changed", "looked_at_again": "looked at again", "gone": "gone"}
    return ", ".join(f"{said}: {report[name]:,}" for name, said in names.items() if report[name]) or "nothing"
