"""docs/benchmarks-queries.md, made of the raw results of bench-recall and bench-queries."""

from collections.abc import Iterable
from pathlib import Path
from statistics import fmean, median
from typing import Any

from tests.benchmarks.report import DOCS
from tests.benchmarks.result import FOLDER as RAW
from tests.benchmarks.result import Result, ratio, read, short
from tests.benchmarks.tables import table

FOLDER = RAW / "queries"
PAGE = "benchmarks-queries.md"
INTRODUCTION = Path(__file__).with_name("queries_introduction.md")
RIGHT = 0.99
ENGINES = ("recall-embedded", "recall-graph", "recall-server")


def write(folder: Path = FOLDER) -> None:
    """Beside the other pages; where the results go elsewhere, there."""
    results = read(folder)
    parts = [INTRODUCTION.read_text(), _machine(results.values())]
    measured = [results[row] for row in ENGINES if row in results]
    if measured:
        parts.append(_RECALL)
        parts += [recall(result) for result in measured]
    if "fast" in results:
        parts.append(fast(results["fast"]))
    page = (DOCS if folder == FOLDER else folder) / PAGE
    page.write_text("\n".join(parts))


def _machine(results: Iterable[Result]) -> str:
    said = max(results, key=lambda result: result.made).machine
    versions = ", ".join(
        f"{name} {version}" for name, version in said["versions"].items() if "qdrant" in name
    )
    return (
        f"Measured on {said['cores']} cores of {said['processor']} (family/model {said['family']}), "
        f"{said['memory_gib']} GiB; Python {said['python']}, {versions}.\n"
    )


_RECALL = """## Right under filters

recall@10 against brute force in numpy, the mean over the seeds and (in brackets) the worst of them, and the
median time of a search in Python. `free` filters pick products whatever they look like, `tied` ones by their
looks. What is right (0.99 or more) for a shape is right for both, since no filter says which it is; each
engine's second table compares ours with the fastest of those.
"""


def recall(result: Result) -> str:
    """Every strategy on one engine, and ours beside the best that is right."""
    facts = result.facts
    names = [name for name in facts["shapes"][0]["found"] if name != "ours"]
    rows = [
        [f"{each['shape']}, {each['kind']}", f"{100 * each['share']:.1f} %", each["path"]]
        + [_cell(each["found"][name]) for name in ("ours", *names)]
        for each in facts["shapes"]
    ]
    columns = ("filter", "passes", "path", "ours", *names)
    shapes = dict.fromkeys(each["shape"] for each in facts["shapes"])
    summary = [
        _summary(shape, [each for each in facts["shapes"] if each["shape"] == shape]) for shape in shapes
    ]
    return (
        f"### {facts['engine']}\n\n{facts['products']:,} products, {facts['rows']:,} rows of "
        f"{facts['dimension']}-d, {facts['seeds']} seeds.\n\n{table(columns, rows)}\n"
        f"{table(('filter', 'least recall', 'ours, ms', 'best that is right', 'ms', 'ours / it'), summary)}"
    )


def _cell(found: dict[str, list[float]]) -> str:
    recalls = found["recall"]
    return f"{fmean(recalls):.3f} ({min(recalls):.1f}), {short(median(found['ms']))} ms"


def _summary(shape: str, kinds: list[dict[str, Any]]) -> list[str]:
    """Least mean recall of both kinds, and medians over both."""
    recalls: dict[str, float] = {}
    times: dict[str, float] = {}
    for name in kinds[0]["found"]:
        recalls[name] = min(fmean(kind["found"][name]["recall"]) for kind in kinds)
        times[name] = median([ms for kind in kinds for ms in kind["found"][name]["ms"]])
    right = [name for name, value in recalls.items() if value >= RIGHT and name != "ours"]
    best = min(right, key=lambda name: times[name])
    said = f"{times['ours'] / times[best]:.2f}"
    return [shape, f"{recalls['ours']:.3f}", short(times["ours"]), best, short(times[best]), said]


def fast(result: Result) -> str:
    """What ours costs beside the engine and a bare route."""
    facts = result.facts

    def ms(name: str) -> float:
        return result.need(f"{name}: median").median

    def p99(name: str) -> float:
        return result.need(f"{name}: p99").median

    raw, ours = ms("raw, no HTTP"), ms("ours, no HTTP")
    over = f"{short(ours)} - {short(raw)} = {ours - raw:.2f} ms"
    one, eight = result.need("ours, 1: median"), result.need("ours, 8: rate")
    bare, engine = result.need("B, 8: rate"), result.need("E, 8: rate")
    both = [1 / (1 / b + 1 / e) for b, e in zip(bare.values, engine.values, strict=True)]
    rows = [
        ["`Recommender.similar`, over the raw call", over, f"{max(0.1 * raw, 0.3):.2f} ms"],
        ["one client, median", f"{one} ms", f"B + E + 1 = {ms('B, 1') + ms('E, 1') + 1:.2f} ms"],
        ["one client, p99", f"{short(p99('ours, 1'))} ms", f"3 x median = {3 * one.median:.1f} ms"],
        ["eight clients, rate", f"{eight} /s", f"{ratio(eight.values, both):.2f} of 1/(1/B + 1/E); 0.75"],
        ["eight clients, p99", f"{short(p99('ours, 8'))} ms", f"5 x median = {5 * ms('ours, 8'):.1f} ms"],
        ["not answered with 200", str(facts["shed"]), "0"],
    ]
    parts = [f"{name}: {short(ms(f'{name}, 1'))} ms alone" for name in ("B", "E")]
    parts += [f"{name}: {figure} /s at eight clients" for name, figure in (("B", bare), ("E", engine))]
    loads = [
        [name, state, f"{short(ms(f'{name}, {state}'))} ms", f"{short(p99(f'{name}, {state}'))} ms"]
        for name in ("upload", "by id")
        for state in ("idle", "ingesting")
    ]
    return (
        f"## Fast\n\n{facts['products']:,} products on the embedded engine, `{facts['encoder']}`, a filter "
        f"on a category that 20 % pass, 12 asked for.\n{_SIDES}{facts['rounds']} rounds of "
        f"{facts['requests']} requests (four times as many at eight clients).\n\n{'; '.join(parts)}.\n\n"
        f"{table(('what', 'measured', 'bound'), rows)}\n{_LOADS}"
        f"Written meanwhile in each round: {', '.join(map(str, facts['ingested']))}.\n\n"
        f"{table(('question', 'while', 'median', 'p99'), loads)}"
    )


_SIDES = """B: a bare FastAPI route that has the same answer. E: the same question in the engine's own terms,
its result as Python objects. All sides in turn, medians of the rounds, of their p99 too:
"""
_LOADS = """Uploads are answered through the batcher that ingestion uses; `ingesting` decodes, embeds and
writes products without pause.
"""
