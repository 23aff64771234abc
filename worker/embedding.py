"""Images to rows: fetch, decode and resize in threads, embed in batches. Each image once."""

import time
from collections.abc import Iterable, MutableMapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import islice

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from config.settings import ImageSettings
from recommender.encoders.batcher import DynamicBatcher
from recommender.encoders.preprocess import to_input
from recommender.errors import ImageError, ImageNotDecodable, TransientError
from recommender.images.decode import decode
from recommender.images.source import ImageSource
from worker.plan import ImageKey

CHUNK = 256
"""Images held as pixels at a time by one message: 38 MiB at 224 px."""


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
class _Pixels:
    """(3, S, S) uint8 on the host, the encoder's input."""

    pixels: Tensor
    etag: str | None


@dataclass(frozen=True, slots=True)
class _Loaded:
    found: Outcome | _Pixels
    fetch_s: float
    decode_s: float = 0.0


class ImageEmbedder:
    """Owns the threads that fetch and decode. Called by any thread; blocks until all is embedded."""

    def __init__(self, source: ImageSource, batcher: DynamicBatcher, images: ImageSettings) -> None:
        self._source = source
        self._batcher = batcher
        self._max_pixels = images.max_pixels
        self._threads = ThreadPoolExecutor(images.threads, thread_name_prefix="image")

    def embed(self, keys: Iterable[ImageKey], outcomes: Outcomes, took_s: Seconds) -> None:
        """Find the outcome of every key that has none yet.

        `took_s` grows by what the stages took; fetch and decode are sums over the threads.
        """
        missing = iter([key for key in dict.fromkeys(keys) if key not in outcomes])
        while chunk := list(islice(missing, CHUNK)):
            ready: dict[ImageKey, _Pixels] = {}
            for key, loaded in zip(chunk, self._threads.map(self._load, chunk), strict=True):
                took_s["fetch"] += loaded.fetch_s
                took_s["decode"] += loaded.decode_s
                if isinstance(loaded.found, _Pixels):
                    ready[key] = loaded.found
                else:
                    outcomes[key] = loaded.found
            started = time.perf_counter()
            outcomes.update(self._rows(ready))
            took_s["embed"] += time.perf_counter() - started

    def close(self) -> None:
        """Wait for what is being fetched, and end the threads."""
        self._threads.shutdown(cancel_futures=True)

    def _load(self, key: ImageKey) -> _Loaded:
        started = time.perf_counter()
        try:
            fetched = self._source.fetch(key.uri, etag=key.etag)
        except (ImageError, TransientError) as error:
            return _Loaded(error, time.perf_counter() - started)
        fetched_at = time.perf_counter()
        found: Outcome | _Pixels = NotModified()
        if fetched is not None:
            try:
                image = decode(fetched.data, name=key.uri, max_pixels=self._max_pixels)
            except ImageError as error:
                found = error
            else:
                found = _Pixels(to_input(image, self._batcher.encoder.spec.preprocessing), fetched.etag)
        return _Loaded(found, fetched_at - started, time.perf_counter() - fetched_at)

    def _rows(self, ready: dict[ImageKey, _Pixels]) -> dict[ImageKey, Outcome]:
        if not ready:
            return {}
        rows = self._batcher.embed_images([item.pixels for item in ready.values()])
        return {
            key: Embedded(row, item.etag)
            if np.isfinite(row).all()
            else ImageNotDecodable(key.uri, "the encoder gave numbers that are not finite")
            for (key, item), row in zip(ready.items(), rows, strict=True)
        }
