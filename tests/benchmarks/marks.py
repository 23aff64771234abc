"""What the project set out to reach, beside what was measured: met or not."""

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from tests.benchmarks.result import Result, ratio, short
from tests.benchmarks.rows.repeats import SHARED
from tests.benchmarks.tables import encoder_of, of, share_at, table

RUNTIMES = ("F onnxruntime", "F openvino", "F compile")
VNNI = {"avx512_vnni", "avx_vnni"}


@dataclass(frozen=True)
class Mark:
    """One bound, and what was measured of it; no `value` says why there is none."""

    what: str
    where: str
    value: float | None
    bound: float
    sign: str = ">="
    digits: int = 2

    @property
    def met(self) -> bool | None:
        """None: it was not measured."""
        if self.value is None:
            return None
        return self.value >= self.bound if self.sign == ">=" else self.value <= self.bound

    def cells(self) -> list[str]:
        """A row of the table."""
        written = self._written(self.value) if self.value is not None else "not measured"
        said = {True: "met", False: "**not met**", None: ""}[self.met]
        return [self.what, self.where, f"{self.sign} {self._written(self.bound)}", written, said]

    def _written(self, value: float) -> str:
        return short(value) if abs(value) >= 100 else f"{value:.{self.digits}f}"


def marks(results: dict[str, Result]) -> str:
    """The table."""
    if not results:
        return ""
    rows = [mark.cells() for group in GROUPS for mark in group(results)]
    columns = ("mark", "where", "to reach", "measured", "")
    return f"## Marks\n\nWhat the project set out to reach.\n\n{table(columns, rows)}"


def _end_to_end(results: dict[str, Result]) -> Iterator[Mark]:
    for result in of(results, "throughput-"):
        for px in result.sides():
            where, ours = f"{encoder_of(result)}, {px} px", result.need("ours", px)
            yield Mark("ours / limit", where, ratio(ours.values, result.limit(px).values), 0.92, digits=3)
            fastembed = 1.15 if px >= 1000 else 1.0
            bounds = {"naive Celery task": 2, "FastEmbed": fastembed, "clip-retrieval-style loop": 1.1}
            for rival, bound in bounds.items():
                found = result.find(rival, px)
                value = ratio(ours.values, found.values) if found else None
                yield Mark(f"ours / {rival}", where, value, bound)


def _forward(results: dict[str, Result]) -> Iterator[Mark]:
    for result in of(results, "throughput-"):
        ours, eager, where = result.find("F ours"), result.find("F eager"), encoder_of(result)
        known = [figure for name in RUNTIMES if (figure := result.find(name))]
        if ours and eager and where == "resnet50":
            yield Mark("bare forward, ours / eager torch", where, ratio(ours.values, eager.values), 2.2)
        if ours and known:
            best = max(known, key=lambda figure: figure.median)
            what = "bare forward, ours / best of ONNX Runtime, OpenVINO, torch.compile"
            yield Mark(what, where, ratio(ours.values, best.values), 0.97)


def _decode(results: dict[str, Result]) -> Iterator[Mark]:
    for result in of(results, "decoding"):
        for figure in result.figures:
            name, _, threads = figure.name.rpartition(", ")
            if name == "ours" and figure.px == 1000:
                pillow = result.need(f"pillow, {threads}", 1000)
                value = ratio(figure.values, pillow.values)
                yield Mark("decode and resize, ours / Pillow", f"1000 px, {threads}", value, 2)


def _int8(results: dict[str, Result]) -> Iterator[Mark]:
    for result in of(results, "precision-"):
        int8, single = result.find("int8"), result.find("float32")
        if VNNI & set(result.machine.get("features", ())):
            value = ratio(int8.values, single.values) if int8 and single else None
            yield Mark("int8 / float32", encoder_of(result), value, 1.8)


def _batcher(results: dict[str, Result]) -> Iterator[Mark]:
    for result in of(results, "batcher-"):
        fixed, full, idle, bare = (
            result.need(name).values for name in ("fixed", "saturated", "idle", "idle, bare")
        )
        where = encoder_of(result)
        yield Mark("batcher, saturated / fixed batches", where, ratio(full, fixed), 0.98, digits=3)
        yield Mark("batcher, idle / a bare batch of 1", where, ratio(idle, bare), 1.1, "<=", 3)


def _repeats(results: dict[str, Result]) -> Iterator[Mark]:
    for result in of(results, "repeats-"):
        once, ten, where = result.need("once"), result.need("ten times"), encoder_of(result)
        yield Mark("patches, products/s", where, result.need("patches").median, 1500)
        yield Mark("an event ten times / once", where, ratio(ten.values, once.values), 1.1, "<=")
        for name in ("shared, fetched", "shared, embedded"):
            images = result.need(name)
            yield Mark(images.what, where, max(images.values), SHARED, "<=", 0)


def _shares(results: dict[str, Result]) -> Iterator[Mark]:
    for result in of(results, "throughput-"):
        forward, where = result.need("F"), encoder_of(result)
        queue = 100 * ratio(forward.values, result.need("queue").values)
        yield Mark("Celery and Redis, % of the time at F", where, queue, 3, "<=")
        write = 100 * share_at(forward, result.need("write"))
        yield Mark("upserts, % of the time at F", where, write, 5, "<=")


def _growth(results: dict[str, Result]) -> Iterator[Mark]:
    for result in of(results, "growth"):
        for name in ("ms", "processor_ms"):
            few, many = result.need(f"{name} at 1000"), result.need(f"{name} at 100000")
            what = "one more product, at 100,000 / at 1,000"
            yield Mark(what, few.what, ratio(many.values, few.values), 1.15, "<=")


def _exactness(results: dict[str, Result]) -> Iterator[Mark]:
    gates = (
        ("the same image alone and in a batch", 0.99999, None, None),
        ("half precision", 0.999, None, None),
        ("decode and resize", None, 0.98, 0.3),
        ("int8", None, None, 1.0),
    )
    for result in of(results, "exactness"):
        for name, cosine, overlap, points in gates:
            found = result.facts.get(name, {})
            if cosine is not None:
                yield Mark("least cosine", name, found.get("least cosine"), cosine, digits=6)
            if overlap is not None:
                yield Mark("top-10 overlap", name, found.get("top-10 overlap"), overlap, digits=3)
            if points is not None:
                lost = found["R@1, reference"] - found["R@1"] if "R@1" in found else None
                value = abs(lost) if lost is not None else None
                yield Mark("change of R@1, points", name, value, points, "<=")


def _gpu(results: dict[str, Result]) -> Iterator[Mark]:
    for result in of(results, "cuda-"):
        forward, eager, where = result.find("F"), result.find("F eager"), encoder_of(result)
        for px in result.sides() if forward else ():
            of_what, bound = ("F", 0.95) if where == "clip-vit-l-14" else ("min(F, D)", 0.9)
            best = forward if of_what == "F" and forward else result.limit(px)
            value = ratio(result.need("ours", px).values, best.values)
            yield Mark(f"GPU: ours / {of_what}", f"{where}, {px} px", value, bound, digits=3)
        if forward and eager and where != "clip-vit-l-14":
            yield Mark("GPU: F / eager bfloat16", where, ratio(forward.values, eager.values), 1.5)
    if "cuda-decoding" in results:
        facts = results["cuda-decoding"].facts
        corrupted = facts["iterations with corrupted memory"]
        yield Mark("GPU decode: corrupted, of 200", "nvJPEG", corrupted, 0, "<=", 0)
        overlap = facts["GPU decode against ours"]["top-10 overlap"]
        yield Mark("GPU decode: top-10 overlap", "nvJPEG", overlap, 0.98, digits=3)


GROUPS: tuple[Callable[[dict[str, Result]], Iterator[Mark]], ...] = (
    _end_to_end,
    _forward,
    _decode,
    _int8,
    _batcher,
    _repeats,
    _shares,
    _growth,
    _exactness,
    _gpu,
)
