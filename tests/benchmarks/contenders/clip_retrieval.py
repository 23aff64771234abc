"""A loop as clip-retrieval's: DataLoader workers that fetch and decode by Pillow, batches, upserts."""

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from recommender.encoders.registry import spec_of
from tests.benchmarks.contenders.encoder import load
from tests.benchmarks.contenders.fetching import by_boto3, pillow_input
from tests.benchmarks.model import Graph
from tests.benchmarks.plain_index import PlainIndex


class Images(Dataset[tuple[str, Tensor]]):
    """Fetched and decoded in the worker that is asked."""

    def __init__(self, encoder: str, endpoint_url: str, keys: list[str]) -> None:
        self._preprocessing = spec_of(encoder).preprocessing
        self._endpoint_url = endpoint_url
        self._keys = keys
        self._fetch: Callable[[str], bytes] | None = None

    def __len__(self) -> int:
        return len(self._keys)

    def __getitem__(self, number: int) -> tuple[str, Tensor]:
        self._fetch = self._fetch or by_boto3(self._endpoint_url)
        return self._keys[number], pillow_input(self._fetch(self._keys[number]), self._preprocessing)


@contextmanager
def opened(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """Options: those of the model and of our encoder, `threads`, `endpoint_url`, `keys`, `runtime`."""
    torch.set_num_threads(options["threads"])
    spec = spec_of(options["encoder"])
    keys = {side: cycle(names) for side, names in options["keys"].items()}
    if options["runtime"] == "eager":
        module = Graph(options["encoder"], Path(options["weights"])).eval()
        encode: Callable[[Tensor], Any] = lambda pixels: module(pixels).numpy()  # noqa: E731
    else:
        encode = load(options).encode_images
    scratch = Path(tempfile.mkdtemp())

    def answer(request: dict[str, Any]) -> float:
        """Images/s over `count` images, once every worker's first batches are through."""
        batch, workers = request["batch"], request["workers"]
        ahead, batches = 2 * workers + 1, -(-request["count"] // batch)
        names = list(islice(keys[str(request["px"])], (2 * ahead + batches) * batch))
        dataset = Images(options["encoder"], options["endpoint_url"], names)
        loader = DataLoader(dataset, batch_size=batch, num_workers=workers, multiprocessing_context="fork")
        loaded = iter(loader)
        for _ in range(ahead):
            _index(index, encode, next(loaded))
        started = time.perf_counter()
        for _ in range(batches):
            _index(index, encode, next(loaded))
        return batches * batch / (time.perf_counter() - started)

    with torch.inference_mode(), PlainIndex(scratch / "index", spec.dimension) as index:
        yield answer
    shutil.rmtree(scratch)


def _index(index: PlainIndex, encode: Callable[[Tensor], Any], batch: Any) -> None:
    names, pixels = batch
    index.upsert(list(names), np.asarray(encode(pixels)))
