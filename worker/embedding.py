"""Images to rows: fetch, decode and resize in threads, embed in batches. Each image once."""

import time
from collections.abc import Callable, Iterable, Mapping, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from config.settings import ImageSettings
from recommender.encoders.batcher import DynamicBatcher
from recommender.encoders.preprocess import to_input
from recommender.encoders.protocol import Embeddings, Preprocessing
from recommender.errors import ImageError, ImageNotDecodable, ImageStoreUnavailable, TransientError
from recommender.images.decode import decoded
from recommender.images.fetched import Fetched
from recommender.images.source import ImageSource
from worker.breaker import Breakers
from worker.plan import ImageKey


@dataclass(frozen=True, slots=True)
class NotModified:
    """The bytes are those that were embedded."""


@dataclass(frozen=True, slots=True)
class Embedded:
    """A new row: (D,) float32 on the host, unit L2 norm, finite."""

    row: NDArray[np.float32]
    etag: str | None


Outcome = NotModified | Embedded | ImageError | TransientError
Outcomes = MutableMapping[ImageKey, Outcome]
Seconds = MutableMapping[str, float]
"""What the stages of one batch took, by name; starts at zero."""


@dataclass(frozen=True, slots=True)
class Pixels:
    """(3, S, S) uint8 on the host, the encoder's input."""

    pixels: Tensor
    etag: str | None


class ImageStage(Protocol):
    """What brings images from their source to rows."""

    def embed(
        self, keys: Iterable[ImageKey], outcomes: Outcomes, took_s: Seconds, progress: Callable[[], None]
    ) -> None:
        """Find the outcome of every key that has none yet; blocks until all are found.

        `took_s` grows by what the stages took; fetch and decode are sums over the threads. `progress` is
        called whenever something was done.
        """


def fetch(source: ImageSource, key: ImageKey) -> Fetched | NotModified | ImageError | TransientError:
    """The bytes of one image, or why there are none."""
    try:
        return source.fetch(key.uri, etag=key.etag) or NotModified()
    except (ImageError, TransientError) as error:
        return error


def to_pixels(fetched: Fetched, key: ImageKey, p: Preprocessing, max_pixels: int) -> Pixels | ImageError:
    """Decode and resize one image, or say why it can't be."""
    try:
        with decoded(fetched.data, name=key.uri, max_pixels=max_pixels) as image:
            return Pixels(to_input(image, p), fetched.etag)
    except ImageError as error:
        return error


def outcomes_of(ready: Mapping[ImageKey, Pixels], rows: Embeddings) -> dict[ImageKey, Outcome]:
    """Row i for the i-th image, unless it is not finite: engines would take it without a word."""
    return {
        key: Embedded(row, item.etag)
        if np.isfinite(row).all()
        else ImageNotDecodable(key.uri, "the encoder gave numbers that are not finite")
        for (key, item), row in zip(ready.items(), rows, strict=True)
    }


@dataclass(frozen=True, slots=True)
class _Loaded:
    found: Outcome | Pixels
    fetch_s: float
    decode_s: float = 0.0


class ImageEmbedder:
    """The image stage of a process: threads that fetch and decode, batches that embed. Thread-safe."""

    def __init__(
        self, source: ImageSource, batcher: DynamicBatcher, images: ImageSettings, breakers: Breakers
    ) -> None:
        self._source = source
        self._batcher = batcher
        self._breakers = breakers
        self._max_pixels = images.max_pixels
        self._threads = ThreadPoolExecutor(images.threads, thread_name_prefix="image")

    def embed(
        self, keys: Iterable[ImageKey], outcomes: Outcomes, took_s: Seconds, progress: Callable[[], None]
    ) -> None:
        """See `ImageStage`; all pixels are held at a time, 150 KiB an image at 224 px."""
        missing = [key for key in dict.fromkeys(keys) if key not in outcomes]
        ready: dict[ImageKey, Pixels] = {}
        for key, loaded in zip(missing, self._threads.map(self._load, missing), strict=True):
            progress()
            took_s["fetch"] += loaded.fetch_s
            took_s["decode"] += loaded.decode_s
            if isinstance(loaded.found, Pixels):
                ready[key] = loaded.found
            else:
                outcomes[key] = loaded.found
        if ready:
            started = time.perf_counter()
            rows = self._batcher.embed_images([item.pixels for item in ready.values()])
            outcomes.update(outcomes_of(ready, rows))
            took_s["embed"] += time.perf_counter() - started

    def close(self) -> None:
        """Wait for what is being fetched, and end the threads."""
        self._threads.shutdown(cancel_futures=True)

    def _load(self, key: ImageKey) -> _Loaded:
        started = time.perf_counter()
        if not self._breakers.lets_through(key.uri):
            return _Loaded(ImageStoreUnavailable(f"{key.uri}: not asked, its store is away"), 0.0)
        fetched = fetch(self._source, key)
        self._breakers.hear(key.uri, fetched)
        fetched_at = time.perf_counter()
        if not isinstance(fetched, Fetched):
            return _Loaded(fetched, fetched_at - started)
        pixels = to_pixels(fetched, key, self._batcher.encoder.spec.preprocessing, self._max_pixels)
        return _Loaded(pixels, fetched_at - started, time.perf_counter() - fetched_at)
