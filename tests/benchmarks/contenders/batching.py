"""The dynamic batcher against the bare encoder, in one process: saturated, and idle."""

import statistics
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import Any

import torch

from recommender.encoders.batcher import DynamicBatcher
from recommender.encoders.protocol import CALLERS
from recommender.encoders.registry import spec_of
from tests.benchmarks.contenders.encoder import load

_CALLERS = 8
_A_CALL = 64


@contextmanager
def opened(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """Options: those of our encoder, and `batch`."""
    encoder, batch = load(options), options["batch"]
    batcher = DynamicBatcher(encoder, batch)
    side = spec_of(options["encoder"]).preprocessing.input_px
    torch.manual_seed(0)
    images = list(torch.randint(0, 256, (_A_CALL, 3, side, side), dtype=torch.uint8))

    def fixed(seconds: float) -> float:
        """As many callers as the batcher has, with full batches that are put together alike; images/s."""
        rows = [images[row % _A_CALL] for row in range(batch)]
        return _rate(CALLERS, lambda: len(encoder.encode_images(torch.stack(rows))), seconds)

    def saturated(seconds: float) -> float:
        """Many callers at a time, images/s."""
        return _rate(_CALLERS, lambda: len(batcher.embed_images(images)), seconds)

    def alone(seconds: float) -> list[float]:
        """Medians of one image's latency in ms, by the batcher and bare, in turn."""
        took: tuple[list[float], list[float]] = ([], [])
        ends = time.perf_counter() + seconds
        while time.perf_counter() < ends:
            for times, call in (
                (took[0], lambda: batcher.embed_images(images[:1])),
                (took[1], lambda: encoder.encode_images(torch.stack(images[:1]))),
            ):
                started = time.perf_counter()
                call()
                times.append(1000 * (time.perf_counter() - started))
        return [statistics.median(times) for times in took]

    asks = {"fixed": fixed, "saturated": saturated, "alone": alone}

    def answer(request: dict[str, Any]) -> Any:
        return asks[request["what"]](request["seconds"])

    fixed(0.5)
    yield answer
    batcher.close()


def _rate(callers: int, call: Callable[[], int], seconds: float) -> float:
    """Images/s of so many threads that call again and again; `call` returns how many images it embedded."""
    started = time.perf_counter()
    ends = started + seconds

    def calls(_: int) -> int:
        count = 0
        while time.perf_counter() < ends:
            count += call()
        return count

    with ThreadPoolExecutor(callers) as threads:
        return sum(threads.map(calls, range(callers))) / (time.perf_counter() - started)
