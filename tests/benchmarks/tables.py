"""The page's sections, each from the rows that it tells of; empty where none was measured."""

from collections.abc import Iterable, Sequence

from tests.benchmarks.result import Result, ratio, short

RIVALS = ("naive Celery task", "FastEmbed", "clip-retrieval-style loop")


def table(columns: Sequence[str], rows: Iterable[Sequence[str]]) -> str:
    """In Markdown."""
    lines = [columns, ["---"] * len(columns), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def of(results: dict[str, Result], prefix: str) -> list[Result]:
    """The rows whose names start so."""
    return [result for row, result in results.items() if row.startswith(prefix)]


def machine(results: dict[str, Result]) -> str:
    """What measured; rows may have been measured apart."""
    if not results:
        return ""
    last = max(results.values(), key=lambda result: result.made)
    said, facts = last.machine, last.facts
    versions = ", ".join(f"{name} {version}" for name, version in said["versions"].items())
    sizes = ", ".join(f"{px} px: {size / 1000:.0f} kB" for px, size in facts["mean bytes"].items())
    return (
        f"Measured on {said['cores']} cores of {said['processor']} (family/model {said['family']}; "
        f"{', '.join(said['features'])}), {said['memory_gib']} GiB; {facts['photos']} as JPEGs of quality 88 "
        f"({sizes}), served by {facts['object store']}. Python {said['python']}, {versions}.\n"
    )


def throughput(results: dict[str, Result]) -> str:
    """F, D, the limit, ours and the rivals."""
    measured = of(results, "throughput-")
    if not measured:
        return ""
    plot = "![Images/s of all sides](benchmarks-throughput.svg)"
    return f"## End to end\n\nImages/s.\n\n{_limits(measured)}\n{plot}\n\n{_rivals(measured)}"


def gpu(results: dict[str, Result]) -> str:
    """The same on a GPU, whose limit is the lesser of F and D; or that it was not measured."""
    measured = [result for result in of(results, "cuda-") if result.find("F")]
    how = "`python -m tests.benchmarks.gpu` measures F, D and ours, and decoding on the GPU."
    if not measured:
        return f"## GPUs\n\nNot measured: no GPU was at hand. {how}\n"
    decoding = ""
    if "cuda-decoding" in results:
        result = results["cuda-decoding"]
        rows = [[str(figure.px), figure.name, figure.what, str(figure)] for figure in result.figures]
        said = f"{result.facts['iterations with corrupted memory']} of 200 iterations corrupted memory; "
        said += f"against our decoder: {result.facts['GPU decode against ours']}."
        decoding = f"\n{said}\n\n{table(('px', 'decoder', 'settings', 'images/s'), rows)}"
    said = "half precision; limit: min(F, D). "
    return f"## GPUs\n\n{said}{how}\n\n{_limits(measured)}\n{_rivals(measured)}{decoding}"


def _limits(measured: Sequence[Result]) -> str:
    rows = []
    for result in measured:
        for px in result.sides():
            best, ours = result.limit(px), result.need("ours", px)
            figures = (result.need("F"), result.need("D", px), best, ours)
            share = f"{ratio(ours.values, best.values):.3f}"
            rows.append([_encoder(result), str(px), *map(str, figures), share])
    return table(("encoder", "px", "F", "D", "limit", "ours", "ours / limit"), rows)


def _rivals(measured: Sequence[Result]) -> str:
    rows = []
    for result in measured:
        for px in result.sides():
            ours = result.need("ours", px)
            found = [result.find(rival, px) for rival in RIVALS]
            cells = [
                f"{each}: {ratio(ours.values, each.values):.2f}" if each else "not measured" for each in found
            ]
            rows.append([_encoder(result), str(px), str(ours), *cells])
    return table(("encoder", "px", "ours", *(f"{rival}: ours / it" for rival in RIVALS)), rows)


def _encoder(result: Result) -> str:
    return result.row.partition("-")[2]


def forwards(results: dict[str, Result]) -> str:
    """Every runtime that was tried."""
    rows = []
    for result in of(results, "throughput-"):
        known = {figure.name[2:]: figure for figure in result.figures if figure.name.startswith("F ")}
        eager, ours = known.get("eager"), known.get("ours")
        if eager is None or ours is None:
            continue
        others = [figure for name, figure in known.items() if name != "ours"]
        best = max(others, key=lambda figure: figure.median).values
        for name, figure in known.items():
            ratios = [f"{ratio(figure.values, eager.values):.2f}", f"{ratio(figure.values, best):.2f}"]
            what = _encoder(result)
            rows.append([what, name, figure.what.partition(", ")[2], str(figure), *ratios])
    if not rows:
        return ""
    columns = ("encoder", "runtime", "settings", "images/s", "/ eager", "/ best of the others")
    weights = ", ".join(
        f"{_encoder(result)}: {result.facts['weights']}; "
        f"worker's runtime {result.facts.get('encoder as loaded', {}).get('runtime', '?')}"
        for result in of(results, "throughput-")
    )
    return f"## Bare forward\n\nfloat32. Weights: {weights}.\n\n{table(columns, rows)}"


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
            figure, name = result.find(precision), _encoder(result)
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
    """What all but fetch, decode and embed take."""
    rows, queue = [], results.get("queue")
    for result in of(results, "throughput-"):
        forward = result.find("F")
        for px, took in result.facts.get("stages, s of threads", {}).items():
            name = _encoder(result)
            celery = ""
            if queue and forward:
                celery = f"{100 * forward.median / queue.figures[0].median:.2f} %"
            write = f"{100 * took['write'] / took['wall']:.1f} %"
            rows.append([name, px, celery, write, *(f"{took[stage]:.2f}" for stage in took)])
    if not rows:
        return ""
    said = f"The shipped worker with an empty body: {queue.figures[0]} products/s. " if queue else ""
    stages = (f"{name}, s" for name in took)
    columns = ("encoder", "px", "Celery and Redis at F", "writing, of the wall", *stages)
    return (
        f"## What the queue and the index take\n\n{said}Stages of the last round are sums of the threads of "
        f"messages and images, which wait for each other.\n\n{table(columns, rows)}"
    )


def batcher(results: dict[str, Result]) -> str:
    """Saturated and idle."""
    rows = []
    for result in of(results, "batcher-"):
        names = ("fixed", "saturated", "idle", "idle, bare")
        fixed, full, idle, bare = (result.need(name) for name in names)
        name = _encoder(result)
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
        name = _encoder(result)
        rows += [[name, figure.what, f"{figure} {figure.unit}"] for figure in result.figures]
        once, ten = result.need("once"), result.need("ten times")
        rows.append([name, "ten times / once", f"{ratio(ten.values, once.values):.2f}"])
    columns = ("encoder", "what", "measured")
    return f"## No work twice\n\nThrough Celery and Redis.\n\n{table(columns, rows)}" if rows else ""


def growth(results: dict[str, Result]) -> str:
    """The curve."""
    if "growth" not in results:
        return ""
    curve = results["growth"].facts["curve"]
    rows = [
        [
            f"{point['products']:,}",
            f"{point['ms']:.3f}",
            f"{point['processor_ms']:.3f}",
            f"{point['rss_mib']:,.0f}",
        ]
        for point in curve
    ]
    columns = ("products", "ms of one more, without its image", "of processor time", "memory, MiB")
    return (
        "## Growth\n\nPlan, merge and write in messages of 256 with stored vectors; one thread.\n\n"
        f"![What one more product costs](benchmarks-growth.svg)\n\n{table(columns, rows)}"
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
