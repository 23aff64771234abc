"""D: fetch, decode and resize alone, by a loop of the benchmark's own; and the parts of it."""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import contextmanager
from functools import cache
from itertools import cycle
from threading import Event
from typing import Any

import torch

from config.settings import ImageSettings, S3Settings
from recommender.encoders.registry import spec_of
from recommender.images.fetched import Fetched
from recommender.images.source import ImageSource
from tests.benchmarks.contenders.fetching import FETCHES, decoders
from tests.benchmarks.store import BUCKET
from worker.embedding import Pixels, fetch, to_pixels
from worker.plan import ImageKey

_WARM_UP_S = 0.2


@contextmanager
def opened(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """Options: `encoder`, `endpoint_url`, and `keys` by longer side."""
    torch.set_num_threads(1)  # the threads are the loop's
    p = spec_of(options["encoder"]).preprocessing
    endpoint, images = options["endpoint_url"], ImageSettings()
    source = ImageSource(S3Settings(endpoint_url=endpoint, buckets=(BUCKET,)), images)
    fetches: dict[str, Callable[[str], Any]] = {name: make(endpoint) for name, make in FETCHES.items()}
    fetches["ours"] = lambda key: _fetched(source, key)
    memory = cache(fetches["urllib3"])
    fetches["memory"] = lambda key: memory(f"{key.partition('-')[0]}-0.jpg")
    others = decoders(p)
    keys = {side: cycle(names) for side, names in options["keys"].items()}

    def whole(request: dict[str, Any]) -> Callable[[str], Any]:
        get = fetches[request["fetch"]]
        if request["decoder"] == "none":
            return get
        if request["decoder"] == "ours":
            return lambda key: _pixels(key, _as_fetched(get(key)), p, images.max_pixels)
        decode = others[request["decoder"]]
        return lambda key: decode(_as_fetched(get(key)).data)

    def answer(request: dict[str, Any]) -> Any:
        """Images/s; or, asked for `names`, what there is to try."""
        if request.get("names"):
            return {"fetches": [name for name in fetches if name != "memory"], "decoders": [*others, "ours"]}
        return _rate(whole(request), keys[str(request["px"])], request["threads"], request["seconds"])

    yield answer
    source.close()


def _rate(load: Callable[[str], Any], keys: Iterator[str], threads: int, seconds: float) -> float:
    """Images/s of threads that do nothing else; what they do in the first `_WARM_UP_S` is not counted."""
    counts, over = [0] * threads, Event()

    def work(thread: int) -> None:
        while not over.is_set():
            load(next(keys))
            counts[thread] += 1

    with ThreadPoolExecutor(threads) as pool:
        working = [pool.submit(work, thread) for thread in range(threads)]
        wait(working, _WARM_UP_S, FIRST_EXCEPTION)
        before, started = sum(counts), time.perf_counter()
        wait(working, seconds, FIRST_EXCEPTION)
        rate = (sum(counts) - before) / (time.perf_counter() - started)
        over.set()
        for each in working:
            each.result()
    return rate


def _fetched(source: ImageSource, key: str) -> Fetched:
    found = fetch(source, ImageKey(f"s3://{BUCKET}/{key}", None))
    assert isinstance(found, Fetched), found
    return found


def _as_fetched(found: Fetched | bytes) -> Fetched:
    return found if isinstance(found, Fetched) else Fetched(found, None)


def _pixels(key: str, found: Fetched, p: Any, max_pixels: int) -> Pixels:
    pixels = to_pixels(found, ImageKey(key, None), p, max_pixels)
    assert isinstance(pixels, Pixels), pixels
    return pixels
