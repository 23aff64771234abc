"""The page's plots, as SVG files beside it."""

from pathlib import Path

import matplotlib as mpl

mpl.use("svg")
mpl.rcParams["svg.hashsalt"] = "lookalike"  # the same plot is the same file
from matplotlib import pyplot as plt  # noqa: E402

from tests.benchmarks.result import Result  # noqa: E402
from tests.benchmarks.tables import RIVALS, of  # noqa: E402


def write(results: dict[str, Result], docs: Path) -> None:
    """Those whose rows were measured."""
    if of(results, "throughput-"):
        _throughput(of(results, "throughput-"), docs / "benchmarks-throughput.svg")
    if "growth" in results:
        _growth(results["growth"], docs / "benchmarks-growth.svg")


def _throughput(results: list[Result], path: Path) -> None:
    names = ("limit", "ours", *RIVALS)
    cells = [(result, px) for result in results for px in result.sides()]
    figure, axes = plt.subplots(1, len(cells), figsize=(2.3 * len(cells), 3.2), squeeze=False)
    for axis, (result, px) in zip(axes[0], cells, strict=True):
        medians = [_median(result, name, px) for name in names]
        axis.bar(range(len(names)), medians, color=["#bbbbbb", "#1b7f5c", "#c98b3b", "#7b6fb0", "#5a87b5"])
        axis.set_title(f"{result.row.removeprefix('throughput-')}\n{px} px", fontsize=9)
        axis.set_xticks(range(len(names)), names, rotation=90, fontsize=7)
        axis.tick_params(axis="y", labelsize=7)
    axes[0][0].set_ylabel("images/s")
    _save(figure, path)


def _median(result: Result, name: str, px: int) -> float:
    found = result.limit(px) if name == "limit" else result.find(name, px)
    return found.median if found else 0.0


def _growth(result: Result, path: Path) -> None:
    curve = result.facts["curve"]
    figure, (cost, memory) = plt.subplots(1, 2, figsize=(8, 3))
    products = [point["products"] for point in curve]
    labels = {"processor_ms": "processor ms of one more product", "rss_mib": "memory, MiB"}
    for axis, (key, label) in zip((cost, memory), labels.items(), strict=True):
        axis.plot(products, [point[key] for point in curve], marker="o", color="#1b7f5c")
        axis.set_ylim(bottom=0)
        axis.set_xlabel("products")
        axis.set_ylabel(label)
    _save(figure, path)


def _save(figure: "plt.Figure", path: Path) -> None:
    figure.tight_layout()
    figure.savefig(path, metadata={"Date": None})
    plt.close(figure)
