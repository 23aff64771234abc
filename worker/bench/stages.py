"""Each stage alone, for a few seconds: images/s."""

import math
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from typing import TypeVar

import torch
from torch import Tensor

from recommender.encoders.protocol import CALLERS, Encoder
from recommender.errors import ImageError, TransientError
from recommender.images.fetched import Fetched
from recommender.images.source import ImageSource
from worker.bench.verdict import Stage
from worker.embedding import Pixels, fetch, to_pixels
from worker.plan import ImageKey

T = TypeVar("T")
R = TypeVar("R")
TURN = 4
"""Items a thread, at least, that are begun together."""


def fetching(
    source: ImageSource, uris: Sequence[str], threads: int, seconds: float
) -> tuple[Stage, list[tuple[str, Fetched]]]:
    """Fetch them, over and over; what came is kept once.

    Raises:
        ImageError: an image is not allowed, missing or too large.
        TransientError: its store does not answer.
    """

    def one(uri: str) -> tuple[str, Fetched]:
        found = fetch(source, ImageKey(uri, None))
        if isinstance(found, ImageError | TransientError):
            raise found
        assert isinstance(found, Fetched)  # without an ETag, nothing is unmodified
        return uri, found

    rate, found = _rate(one, uris, threads, seconds)
    mean_kb = sum(len(fetched.data) for _, fetched in found) / len(found) / 1000
    how = f"{len(found)} images of {mean_kb:.0f} kB in the mean, {threads} at a time"
    return Stage("fetch", rate, how), found


def decoding(
    encoder: Encoder, images: Sequence[tuple[str, Fetched]], threads: int, max_pixels: int, seconds: float
) -> tuple[Stage, list[Tensor]]:
    """Decode and resize them from memory; the pixels are kept once.

    Raises:
        ImageError: an image can't be decoded.
    """
    preprocessing = encoder.spec.preprocessing

    def one(image: tuple[str, Fetched]) -> Tensor:
        uri, fetched = image
        found = to_pixels(fetched, ImageKey(uri, None), preprocessing, max_pixels)
        if not isinstance(found, Pixels):
            raise found
        return found.pixels

    rate, pixels = _rate(one, images, threads, seconds)
    return Stage("decode", rate, f"to {preprocessing.input_px} px, {threads} at a time"), pixels


def embedding(encoder: Encoder, pixels: Sequence[Tensor], batch: int, seconds: float) -> Stage:
    """Full batches, as many in flight as a worker has."""
    full = torch.stack(list(islice(cycle(pixels), batch)))
    encoder.encode_images(full)
    started = time.perf_counter()

    def embed(_: int) -> int:
        calls = 0
        while not calls or time.perf_counter() - started < seconds:
            encoder.encode_images(full)
            calls += 1
        return calls

    with ThreadPoolExecutor(CALLERS) as threads:
        calls = sum(threads.map(embed, range(CALLERS)))
        rate = calls * batch / (time.perf_counter() - started)
    how = f"{encoder.fingerprint} on {encoder.device}, batches of {batch}, {CALLERS} in flight"
    return Stage("device", rate, how)


def _rate(one: Callable[[T], R], items: Sequence[T], threads: int, seconds: float) -> tuple[float, list[R]]:
    """Items/s, all of them again until the time is over; and what the first time gave.

    Few items come several times in a turn, so that all threads have some of them in hand.
    """
    turn = list(items) * math.ceil(TURN * threads / len(items))
    with ThreadPoolExecutor(threads) as pool:
        first = list(pool.map(one, items))
        count, started = 0, time.perf_counter()
        while (took := time.perf_counter() - started) < seconds:
            count += sum(1 for _ in pool.map(one, turn))
    return count / took, first
