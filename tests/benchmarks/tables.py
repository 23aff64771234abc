"""The page's sections, each from the rows that it tells of; empty where none was measured."""

import statistics
from collections.abc import Iterable, Sequence

from tests.benchmarks.result import Figure, Result, ratio, short

RIVALS = ("naive Celery task", "FastEmbed", "clip-retrieval-style loop")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def of(results: dict[str, Result], prefix: str) -> list[Result]:
    """The rows whose names start so."""
    return [result for row, result in results.items() if row.startswith(prefix)]


def throughput(results: dict[str, Result]) -> str:
    """F, D, the limit, ours and the rivals."""
    measured = of(results, "throughput-")
    if not measured:
        return ""
    plot = "![Images/s of all sides](benchmarks-throughput.svg)"
    return f"## End to end\n\nImages/s.\n\n{limits(measured)}\n{plot}\n\n{rivals(measured)}"


def limits(measured: Sequence[Result]) -> str:
    """F, D, and how near ours comes to what they allow."""
    rows = []
    for result in measured:
        for px in result.sides():
            best, ours = result.limit(px), result.need("ours", px)
            figures = (result.need("F"), result.need("D", px), best, ours)
            share = f"{ratio(ours.values, best.values):.3f}"
            rows.append([encoder_of(result), str(px), *map(str, figures), share])
    return table(("encoder", "px", "F", "D", "limit", "ours", "ours / limit"), rows)


def rivals(measured: Sequence[Result]) -> str:
    """Ours beside each of them."""
    rows = []
    for result in measured:
        for px in result.sides():
            ours = result.need("ours", px)
            found = [result.find(rival, px) for rival in RIVALS]
            cells = [
                f"{each}: {ratio(ours.values, each.values):.2f}" if each else "not measured" for each in found
            ]
            rows.append([encoder_of(result), str(px), str(ours), *cells])
    return table(("encoder", "px", "ours", *(f"{rival}: ours / it" for rival in RIVALS)), rows)


def encoder_of(result: Result) -> str:
    """Its name, of a row that measured one."""
    return result.row.partition("-")[2]


def forwards(results: dict[str, Result]) -> str:
    """Every runtime, on CPUs and GPUs."""
    parts = {
        "float32": of(results, "throughput-"),
        "On a GPU, bfloat16": [result for result in of(results, "cuda-") if result.find("F")],
    }
    said = "\n".join(_forwards(name, measured) for name, measured in parts.items() if measured)
    return f"## Bare forward\n\n{said}" if said else ""


def _forwards(name: str, measured: Sequence[Result]) -> str:
    rows = []
    for result in measured:
        known = {figure.name[2:]: figure for figure in result.figures if figure.name.startswith("F ")}
        if not {"eager", "ours"} < known.keys():
            continue
        others = [figure for kind, figure in known.items() if kind != "ours"]
        best = max(others, key=lambda figure: figure.median).values
        for kind, figure in {**known, "F": result.need("F")}.items():
            ratios = [f"{ratio(figure.values, known['eager'].values):.2f}"]
            ratios.append(f"{ratio(figure.values, best):.2f}")
            settings = figure.what if kind == "F" else figure.what.partition(", ")[2]
            rows.append([encoder_of(result), kind, settings, str(figure), *ratios])
    columns = ("encoder", "runtime", "settings", "images/s", "/ eager", "/ best of the others")
    weights = ", ".join(
        f"{encoder_of(result)}: {result.facts['weights']}; "
        f"worker's runtime {result.facts.get('encoder as loaded', {}).get('runtime', '?')}"
        for result in measured
    )
    return f"{name}. Weights: {weights}.\n\n{table(columns, rows)}"


def decoding(results: dict[str, Result]) -> str:
    """Decode and resize."""
    if "decoding" not in results:
        return ""
    result, rows = results["decoding"], []
    for figure in result.figures:
        name, _, threads = figure.name.rpartition(", ")
        pillow = result.find(f"pillow, {threads}", figure.px)
        assert pillow is not None
        rows.append(
            [str(figure.px), threads, name, str(figure), f"{ratio(figure.values, pillow.values):.2f}"]
        )
    columns = ("px", "threads", "decoder", "images/s", "/ Pillow")
    return f"## Decode and resize\n\nFrom bytes in memory to 224 px.\n\n{table(columns, rows)}"


def precisions(results: dict[str, Result]) -> str:
    """Half and int8 beside float32."""
    rows = []
    for result in of(results, "precision-"):
        single = result.find("float32")
        for precision in ("float32", "half", "int8"):
            figure, name = result.find(precision), encoder_of(result)
            if figure and single:
                rows.append([name, precision, str(figure), f"{ratio(figure.values, single.values):.2f}"])
            elif precision in result.facts:
                rows.append([name, precision, f"refused: {result.facts[precision]['refused']}", ""])
    if not rows:
        return ""
    columns = ("encoder", "precision", "images/s", "/ float32")
    return f"## Precisions\n\nBare forward by our encoder, batch 32.\n\n{table(columns, rows)}"


def exactness(results: dict[str, Result]) -> str:
    """What is found differently."""
    if "exactness" not in results:
        return ""
    facts, rows = results["exactness"].facts, []
    for name, found in facts.items():
        if not isinstance(found, dict) or not {"least cosine", "refused"} & found.keys():
            continue
        names = ("top-10 overlap", "R@1, reference", "R@1", "least cosine")
        cells = [
            f"{found[key]:.6f}" if key == "least cosine" else f"{found[key]:.3f}"
            for key in names
            if key in found
        ]
        cells = ["", "", "", *cells] if len(cells) == 1 else cells
        rows.append([name, *(cells or [found.get("refused", ""), "", "", ""])])
    columns = ("what", "top-10 overlap", "R@1 of the reference, %", "R@1, %", "least cosine")
    return (
        "## Exactness\n\nAgainst Pillow's full decode, torch's uint8 resize and float32, with compact on "
        f"{facts['photos']}.\n\n{table(columns, rows)}"
    )


def shares(results: dict[str, Result]) -> str:
    """What the queue and the index take of the time, were the device never idle; and the stages of ours."""
    rows = []
    for result in of(results, "throughput-"):
        forward, queue, write = (result.need(name) for name in ("F", "queue", "write"))
        queued = f"{100 * ratio(forward.values, queue.values):.2f} %"
        written = f"{100 * share_at(forward, write):.2f} %"
        for px, took in result.facts["stages, s of threads"].items():
            stages = [f"{seconds:.2f}" for seconds in took.values()]
            rows.append([encoder_of(result), px, str(queue), queued, str(write), written, *stages])
    if not rows:
        return ""
    columns = ("encoder", "px", "queue, products/s", "at F", "write, ms a product", "at F")
    return (
        "## What the queue and the index take\n\nQueue: the shipped worker with an empty body. Write: new "
        "points in the worker's slices, by one thread. Both in the rounds that measured F. Stages of ours, "
        "in the last round, are sums of the threads of messages and images, which wait for each other and "
        "for the cores.\n\n"
        f"{table((*columns, *(f'{name}, s' for name in took)), rows)}"
    )


def share_at(forward: Figure, write: Figure) -> float:
    """Of the time at F, for writes of so many ms a product: a fraction."""
    return statistics.median(f * ms / 1000 for f, ms in zip(forward.values, write.values, strict=True))


def batcher(results: dict[str, Result]) -> str:
    """Saturated and idle."""
    rows = []
    for result in of(results, "batcher-"):
        names = ("fixed", "saturated", "idle", "idle, bare")
        fixed, full, idle, bare = (result.need(name) for name in names)
        name = encoder_of(result)
        rows.append([name, str(full), str(fixed), f"{ratio(full.values, fixed.values):.3f}"])
        rows[-1] += [str(idle), str(bare), f"{ratio(idle.values, bare.values):.3f}"]
    columns = (
        "encoder",
        "saturated, images/s",
        "fixed batches",
        "ratio",
        "idle, ms",
        "bare batch of 1",
        "ratio",
    )
    return f"## The dynamic batcher\n\n{table(columns, rows)}" if rows else ""


def repeats(results: dict[str, Result]) -> str:
    """No work twice."""
    rows = []
    for result in of(results, "repeats-"):
        name = encoder_of(result)
        rows += [[name, figure.what, f"{figure} {figure.unit}"] for figure in result.figures]
        once, ten = result.need("once"), result.need("ten times")
        rows.append([name, "ten times / once", f"{ratio(ten.values, once.values):.2f}"])
    columns = ("encoder", "what", "measured")
    return f"## No work twice\n\nThrough Celery and Redis.\n\n{table(columns, rows)}" if rows else ""


def growth(results: dict[str, Result]) -> str:
    """The curve, and whether it is flat."""
    if "growth" not in results:
        return ""
    result = results["growth"]
    names = ("ms", "processor_ms", "write_ms")
    curve = [
        [f"{point['products']:,}", *(f"{point[name]:.3f}" for name in names), f"{point['rss_mib']:,.0f}"]
        for point in result.facts["curve"]
    ]
    flat = []
    for name in names:
        few, many = (result.need(f"{name} at {size}") for size in (1_000, 100_000))
        flat.append([few.what, str(few), str(many), f"{ratio(many.values, few.values):.3f}"])
    first, last = result.facts["curve"][0], result.facts["curve"][-1]
    most = max(point["rss_mib"] for point in result.facts["curve"])
    kib = 1024 * (last["rss_mib"] - first["rss_mib"]) / (last["products"] - first["products"])
    columns = (
        "products",
        "ms of one more, without its image",
        "of processor time",
        "in writes",
        "memory, MiB",
    )
    return (
        "## Growth\n\nPlan, merge and write in messages of 256 with stored vectors; one thread.\n\n"
        f"![What one more product costs](benchmarks-growth.svg)\n\n{table(columns, curve)}\n"
        "ms of one more product, in turn on an index of 1,000 and on one of 100,000:\n\n"
        f"{table(('', 'at 1,000', 'at 100,000', 'ratio'), flat)}\n"
        f"Memory of the process: {most:,.0f} MiB at most, "
        f"{kib:.1f} KiB a product between {first['products']:,} and {last['products']:,} products.\n"
    )


def tried(results: dict[str, Result]) -> str:
    """Everything that the best was chosen from."""
    parts = []
    for result in results.values():
        if result.tried:
            rows = [
                [each["what"], short(each["images/s"]) if "images/s" in each else "failed"]
                for each in result.tried
            ]
            parts.append(f"### {result.row}\n\n{table(('tried', 'images/s'), rows)}")
    return "## What was tried\n\n" + "\n".join(parts) if parts else ""
