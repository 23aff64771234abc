"""Every side's best settings: all that is tried is measured once, briefly, and kept in the result."""

from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

from tests.benchmarks.contender import Contender, ContenderFailed
from tests.benchmarks.machine import cores
from tests.benchmarks.model import Model
from tests.benchmarks.result import Result
from tests.benchmarks.scene import Scene

TRY_S = 0.6
GAIN = 1.02
"""Over the best so far; once a larger batch gains less, none larger is tried."""
NOISE = 0.95
FORWARDS = {
    "cpu": ("eager", "channels_last", "compile", "onnxruntime", "openvino", "ours"),
    "cuda": ("eager", "channels_last", "compile", "ours"),
}
BATCHES = {"cpu": (1, 8, 16, 32, 64), "cuda": (32, 64, 128, 256)}
COMPILED = {"cpu": (32,), "cuda": (64, 256)}
"""Every size, and every number of threads, is compiled anew, in up to a minute."""
THREADS = (1, 2, 4, 8, 16)


@dataclass
class Tuned:
    """A contender, and the request by which it was fastest."""

    name: str
    what: str
    contender: Contender
    request: dict[str, Any]
    rate: float


def tune_forward(scene: Scene, model: Model, result: Result, stack: ExitStack) -> list[Tuned]:
    """One contender a runtime, at its best batch size and number of threads."""
    found = []
    for kind in FORWARDS[scene.device]:
        scene.say(f"{model.name}: trying the forward by {kind}")
        options = model.as_options() if scene.device == "cpu" else _largest_batch(model, scene.device)
        contender = stack.enter_context(
            scene.contender("forward", **options | {"device": scene.device}, kind=kind)
        )
        try:
            rates = _forward_rates(scene, kind, contender, result)
        except ContenderFailed as error:
            result.tried.append({"what": f"F {kind}", "failed": error.last_line})
            continue
        batch, threads = max(rates, key=lambda key: rates[key])
        on = f"{threads} threads, " if scene.device == "cpu" else ""
        request = {"batch": batch, "threads": threads}
        found.append(Tuned(kind, f"{kind}, {on}batch {batch}", contender, request, rates[batch, threads]))
        if kind == "ours":
            on_gpu = scene.device != "cpu"
            result.facts["ours is told"] = {"max_batch_size": largest_worth(rates)} if on_gpu else {}
    return found


def _largest_batch(model: Model, device: str) -> dict[str, Any]:
    """Our runtime captures as many sizes as it is told."""
    return model.as_options(device=device, max_batch_size=max(BATCHES[device]))


def _forward_rates(
    scene: Scene, kind: str, contender: Contender, result: Result
) -> dict[tuple[int, int], float]:
    """By batch size and number of threads: every size with one a core, the best of them with one thread."""
    rates: dict[tuple[int, int], float] = {}

    def tried(batch: int, threads: int) -> float:
        on = f", {threads} threads" if scene.device == "cpu" else ""
        request = {"batch": batch, "threads": threads, "seconds": TRY_S}
        rate = tried_once(result, f"F {kind}, batch {batch}{on}", contender, **request)
        rates[batch, threads] = rate
        return rate

    compiled = kind == "compile"
    sizes = (COMPILED if compiled else BATCHES)[scene.device]
    # Ours at every size on a GPU, for what the worker is told.
    every = kind == "ours" and scene.device != "cpu"
    best = climb(sizes, lambda batch: tried(batch, cores()), gain=0 if every else GAIN)
    if scene.device == "cpu" and cores() > 1 and not compiled:
        tried(best, 1)
    return rates


def climb(values: Iterable[int], rate_of: Callable[[int], float], gain: float = GAIN) -> int:
    """The best of these, the smallest first; those beyond one that gains nothing are not tried."""
    rates: dict[int, float] = {}
    for value in values:
        enough = gain * max(rates.values(), default=0.0)
        rates[value] = rate_of(value)
        if rates[value] < enough:
            break
    return max(rates, key=lambda value: rates[value])


def largest_worth(rates: dict[tuple[int, int], float]) -> int:
    """What a worker is told: the largest batch whose rate differs from the best by noise alone."""
    return max(batch for (batch, _), rate in rates.items() if rate > NOISE * max(rates.values()))


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
            what = _said(px, tried)
            if what not in rates:
                rates[what] = tried_once(result, what, contender, **tried, px=px, seconds=TRY_S / 2)
        best[part] = max(
            values,
            key=lambda value: rates[_said(px, best | {part: value})],
        )
    what = f"{best['fetch']}, {best['decoder']}, {best['threads']} threads"
    return Tuned("D", what, contender, best | {"px": px}, rates[_said(px, best)])


def tried_once(result: Result, what: str, contender: Contender, **request: Any) -> float:
    rate = float(contender.ask(**request))
    result.tried.append({"what": what, "images/s": round(rate, 1)})
    return rate


def _said(px: int, best: dict[str, Any]) -> str:
    return f"D {px} px: {best['fetch']}, {best['decoder']}, {best['threads']} threads"
