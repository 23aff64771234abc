"""JPEG decoding by nvJPEG through torchvision, resized on the GPU."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import torch
from torch import Tensor
from torchvision.io import ImageReadMode, decode_jpeg

from recommender.encoders.preprocess import to_input
from tests.benchmarks.contenders.encoder import load
from tests.benchmarks.contenders.exactness import ours, rows_of
from tests.gates import recall_at_1, top10_overlap

_BATCH = 32
_SENTINEL_BYTES = 256 * 2**20


@contextmanager
def opened(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """Options: those of our encoder; `files`, and the `products` they show."""
    encoder = load(options)
    p = encoder.spec.preprocessing
    data = [Path(name).read_bytes() for name in options["files"]]

    def decoded(files: list[bytes]) -> list[Tensor]:
        tensors = [torch.frombuffer(bytearray(file), dtype=torch.uint8) for file in files]
        images = decode_jpeg(tensors, mode=ImageReadMode.RGB, device="cuda")
        return [to_input(image.float(), p).round().clamp(0, 255).to(torch.uint8) for image in images]

    def overlap() -> dict[str, float]:
        """What is found by the GPU's pixels, of what is found by ours."""
        here = rows_of(encoder, [ours(file, p) for file in data])
        batches = [data[at : at + _BATCH] for at in range(0, len(data), _BATCH)]
        there = rows_of(encoder, [image.cpu() for batch in batches for image in decoded(batch)])
        products = options["products"]
        return {
            "top-10 overlap": top10_overlap(here, there),
            "R@1, ours": 100 * recall_at_1(here, products),
            "R@1": 100 * recall_at_1(there, products),
        }

    def corruption(times: int) -> int:
        """In how many of `times` iterations memory of others changed, or pixels that were right once."""
        expected = [image.clone() for image in decoded(data[:_BATCH])]
        torch.cuda.synchronize()
        bad = 0
        for number in range(times):
            sentinel = torch.full((_SENTINEL_BYTES,), number % 251, dtype=torch.uint8, device="cuda")
            scratch = torch.randn(2048, 2048, device="cuda")
            for _ in range(8):  # the stream is busy while memory that it has freed is decoded into
                scratch = torch.tanh(scratch @ scratch)
            del scratch
            images = decoded(data[:_BATCH])
            kept = bool((sentinel == number % 251).all())
            bad += not (kept and all(map(torch.equal, images, expected)))
        return bad

    def rate(folder: str, seconds: float) -> float:
        files = cycle([path.read_bytes() for path in sorted(Path(folder).glob("*-0.jpg"))])
        decoded(list(islice(files, _BATCH)))
        torch.cuda.synchronize()
        count, started = 0, time.perf_counter()
        while time.perf_counter() - started < seconds:
            decoded(list(islice(files, _BATCH)))
            torch.cuda.synchronize()
            count += _BATCH
        return count / (time.perf_counter() - started)

    asks: dict[str, Callable[..., Any]] = {"overlap": overlap, "corruption": corruption, "rate": rate}

    def answer(request: dict[str, Any]) -> Any:
        return asks[request.pop("what")](**request)

    yield answer
