"""The rivals, each with its best settings at each size; all that is tried is kept in the result."""

from contextlib import ExitStack
from functools import partial
from typing import Any

from tests.benchmarks.contender import Contender, ContenderFailed
from tests.benchmarks.result import Result
from tests.benchmarks.rows.tuning import Tuned, climb, tried_once
from tests.benchmarks.scene import Scene

NAIVE_THREADS = (1, 2, 4)
FASTEMBED = ((None, 16), (None, 64), (2, 16), (2, 32))
LOADERS = (1, 2)
LOADED = (16, 32, 64)
"""Images a batch of a DataLoader."""
BySide = dict[int, list[Tuned]]


def tune_rivals(scene: Scene, options: dict[str, Any], result: Result, stack: ExitStack) -> BySide:
    """Every rival by longer side in px; one that can't run is noted as tried."""
    found: BySide = {px: [] for px in scene.sides}
    on_cpu = (_naive, _fastembed)  # FastEmbed's package for GPUs is another
    makers = (*on_cpu, _clip_retrieval) if scene.device == "cpu" else (_clip_retrieval,)
    for make in makers if scene.rivals else ():
        try:
            for px, tuned in make(scene, options, result, stack).items():
                found[px].append(tuned)
        except ContenderFailed as error:
            result.tried.append({"what": make.__name__.strip("_"), "failed": error.last_line})
    return found


def _naive(scene: Scene, options: dict[str, Any], result: Result, stack: ExitStack) -> dict[int, Tuned]:
    rates: dict[int, dict[int, float]] = {px: {} for px in scene.sides}
    for threads in NAIVE_THREADS:
        scene.say(f"trying the naive task with {threads} threads")
        with scene.contender("naive", **options, workers=threads) as contender:
            for px in scene.sides:
                what = f"naive, {px} px: {threads} threads"
                rates[px][threads] = tried_once(result, what, contender, px=px, count=64)
    best = {px: max(found, key=lambda threads: found[threads]) for px, found in rates.items()}
    opened = {
        threads: stack.enter_context(scene.contender("naive", **options, workers=threads))
        for threads in set(best.values())
    }
    return {
        px: Tuned("naive Celery task", f"{threads} threads", opened[threads], {}, rates[px][threads])
        for px, threads in best.items()
    }


def _fastembed(scene: Scene, options: dict[str, Any], result: Result, stack: ExitStack) -> dict[int, Tuned]:
    contender, found = stack.enter_context(scene.contender("fastembed", **options)), {}
    for px in scene.sides:
        scene.say(f"trying FastEmbed at {px} px")
        tried = []
        for parallel, batch in FASTEMBED:
            what, request = f"parallel={parallel}, batch {batch}", {"parallel": parallel, "batch": batch}
            name = f"FastEmbed, {px} px: {what}"
            rate = tried_once(result, name, contender, px=px, count=128, **request)
            tried.append(Tuned("FastEmbed", what, contender, request, rate))
        found[px] = max(tried, key=lambda tuned: tuned.rate)
    return found


def _clip_retrieval(
    scene: Scene, options: dict[str, Any], result: Result, stack: ExitStack
) -> dict[int, Tuned]:
    """By our runtime: the number of workers, then the batch size; by eager torch: as was best by ours."""
    contenders = {
        runtime: stack.enter_context(scene.contender("clip_retrieval", **options, runtime=runtime))
        for runtime in ("ours", "eager")
    }
    found = {}
    for px in scene.sides:
        scene.say(f"trying the clip-retrieval-style loop at {px} px")
        loops = _Loops(contenders, px, result)
        workers = max(LOADERS, key=partial(loops.rate, "ours", LOADED[0]))
        batch = climb(LOADED, lambda batch, loops=loops, workers=workers: loops.rate("ours", batch, workers))
        loops.rate("eager", batch, workers)
        found[px] = max(loops.tried.values(), key=lambda tuned: tuned.rate)
    return found


class _Loops:
    """What was tried of the loops at one size, each once."""

    def __init__(self, contenders: dict[str, Contender], px: int, result: Result) -> None:
        self.tried: dict[tuple[str, int, int], Tuned] = {}
        self._contenders = contenders
        self._px = px
        self._result = result

    def rate(self, runtime: str, batch: int, workers: int) -> float:
        """Images/s."""
        key = runtime, batch, workers
        if key not in self.tried:
            what = f"{workers} workers, batch {batch}, forward by {runtime}"
            name = f"clip-retrieval-style loop, {self._px} px: {what}"
            request = {"batch": batch, "workers": workers}
            contender = self._contenders[runtime]
            rate = tried_once(self._result, name, contender, px=self._px, count=64, **request)
            self.tried[key] = Tuned("clip-retrieval-style loop", what, contender, request, rate)
        return self.tried[key].rate
