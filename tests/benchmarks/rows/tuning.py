"""Every side's best settings: all that is tried is measured once, briefly, and kept in the result."""

from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.contender import Contender, ContenderFailed
from tests.benchmarks.machine import cores
from tests.benchmarks.model import Model
from tests.benchmarks.result import Result
from tests.benchmarks.scene import Scene

TRY_S = 1.0
FORWARDS = {
    "cpu": ("eager", "channels_last", "compile", "onnxruntime", "openvino", "ours"),
    "cuda": ("eager", "channels_last", "compile", "ours"),
}
BATCHES = {"cpu": (8, 32), "cuda": (32, 128, 256)}
THREADS = (1, 2, 4, 8, 16)
NAIVE_THREADS = (1, 2, 4)
FASTEMBED = ((None, 16), (None, 64), (2, 16), (2, 32))
LOADERS = (("eager", (2,)), ("ours", (1, 2)))
"""Forward, and numbers of workers."""


@dataclass
class Tuned:
    """A contender, and the request by which it was fastest."""

    name: str
    what: str
    contender: Contender
    request: dict[str, Any]
    rate: float


def tune_forward(scene: Scene, model: Model, result: Result, stack: ExitStack) -> list[Tuned]:
    """One contender a runtime, with all cores, at its best batch size."""
    found = []
    for kind in FORWARDS[scene.device]:
        scene.say(f"{model.name}: trying the forward by {kind}")
        try:
            contender = stack.enter_context(
                scene.contender("forward", **model.as_options(device=scene.device), kind=kind)
            )
            rates = {
                batch: _tried(result, f"F {kind}, batch {batch}", contender, batch=batch, seconds=TRY_S)
                for batch in BATCHES[scene.device]
            }
        except ContenderFailed as error:
            result.tried.append({"what": f"F {kind}", "failed": error.last_line})
            continue
        batch = _largest_worth(rates)
        what = f"{kind}, {cores()} threads, batch {batch}"
        found.append(Tuned(kind, what, contender, {"batch": batch}, rates[batch]))
    return found


def tune_decode(contender: Contender, px: int, result: Result) -> Tuned:
    """The best way to fetch, then the best decoder, then the best number of threads, then both again."""
    names = contender.ask(names=True)
    best = {"fetch": "urllib3", "decoder": "ours", "threads": 4}
    rates: dict[str, float] = {}
    for part, values in (
        ("decoder", names["decoders"]),
        ("fetch", names["fetches"]),
        ("threads", THREADS),
        ("decoder", names["decoders"]),
    ):
        for value in values:
            tried = best | {part: value}
            what = f"D {px} px: {tried['fetch']}, {tried['decoder']}, {tried['threads']} threads"
            if what not in rates:
                rates[what] = _tried(result, what, contender, **tried, px=px, seconds=TRY_S / 2)
        best[part] = max(
            values,
            key=lambda value: rates[_said(px, best | {part: value})],
        )
    what = f"{best['fetch']}, {best['decoder']}, {best['threads']} threads"
    return Tuned("D", what, contender, best | {"px": px}, rates[_said(px, best)])


def tune_rivals(scene: Scene, options: dict[str, Any], result: Result, stack: ExitStack) -> list[Tuned]:
    """Each rival with its best settings, at the first of the sizes."""
    on_cpu = (_naive, _fastembed)  # FastEmbed's package for GPUs is another
    makers = (*on_cpu, _clip_retrieval) if scene.device == "cpu" else (_clip_retrieval,)
    found: list[Tuned] = []
    for make in makers if scene.rivals else ():
        try:
            found.append(make(scene, options, result, stack))
        except ContenderFailed as error:
            result.tried.append({"what": make.__name__.strip("_"), "failed": error.last_line})
    return found


def _naive(scene: Scene, options: dict[str, Any], result: Result, stack: ExitStack) -> Tuned:
    rates, px = {}, scene.sides[0]
    for workers in NAIVE_THREADS:
        scene.say(f"trying the naive task with {workers} threads")
        with scene.contender("naive", **options, workers=workers) as contender:
            what = f"naive, {workers} threads"
            rates[workers] = _tried(result, what, contender, px=px, count=96)
    best = max(rates, key=lambda workers: rates[workers])
    contender = stack.enter_context(scene.contender("naive", **options, workers=best))
    return Tuned("naive Celery task", f"{best} threads", contender, {}, rates[best])


def _fastembed(scene: Scene, options: dict[str, Any], result: Result, stack: ExitStack) -> Tuned:
    scene.say("trying FastEmbed")
    px = scene.sides[0]
    contender = stack.enter_context(scene.contender("fastembed", **options))
    rates = {}
    for parallel, batch in FASTEMBED:
        what = f"FastEmbed, parallel={parallel}, batch {batch}"
        rates[parallel, batch] = _tried(
            result, what, contender, px=px, count=128, parallel=parallel, batch=batch
        )
    parallel, batch = max(rates, key=lambda key: rates[key])
    request = {"parallel": parallel, "batch": batch}
    return Tuned(
        "FastEmbed", f"parallel={parallel}, batch {batch}", contender, request, rates[parallel, batch]
    )


def _clip_retrieval(scene: Scene, options: dict[str, Any], result: Result, stack: ExitStack) -> Tuned:
    found = []
    for runtime, numbers in LOADERS:
        scene.say(f"trying the clip-retrieval-style loop with the runtime {runtime}")
        contender = stack.enter_context(scene.contender("clip_retrieval", **options, runtime=runtime))
        for workers in numbers:
            what = f"DataLoader with {workers} workers, batch 32, forward by {runtime}"
            request = {"workers": workers, "batch": 32}
            rate = _tried(result, what, contender, px=scene.sides[0], count=64, **request)
            found.append(Tuned("clip-retrieval-style loop", what, contender, request, rate))
    return max(found, key=lambda tuned: tuned.rate)


def _largest_worth(rates: dict[int, float]) -> int:
    """The fastest batch, but no smaller one for a difference that is noise."""
    return max(batch for batch, rate in rates.items() if rate > 0.97 * max(rates.values()))


def _tried(result: Result, what: str, contender: Contender, **request: Any) -> float:
    rate = float(contender.ask(**request))
    result.tried.append({"what": what, "images/s": round(rate, 1)})
    return rate


def _said(px: int, best: dict[str, Any]) -> str:
    return f"D {px} px: {best['fetch']}, {best['decoder']}, {best['threads']} threads"
