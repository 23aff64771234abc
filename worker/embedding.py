"""Images to rows: fetched, decoded and resized in threads, embedded in batches, each on its own way."""

import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field
from threading import Lock
from typing import Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from config.settings import ImageSettings
from recommender.encoders.backlog import Row
from recommender.encoders.batcher import DynamicBatcher
from recommender.encoders.preprocess import input_of
from recommender.encoders.protocol import Preprocessing
from recommender.errors import ImageError, ImageNotDecodable, ImageStoreUnavailable, TransientError
from recommender.fair_queue import FairQueue
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


@dataclass(frozen=True, slots=True)
class Pixels:
    """(3, S, S) uint8 on the host, the encoder's input."""

    pixels: Tensor
    etag: str | None


@dataclass(frozen=True, slots=True)
class Looked:
    """What became of one image, and what it took.

    `embedding` is from when to when, by `time.perf_counter`, its pixels were with the encoder.
    """

    outcome: Outcome
    fetch_s: float = 0.0
    decode_s: float = 0.0
    embedding: tuple[float, float] | None = None


class ImageStage(Protocol):
    """What brings images from their source to rows."""

    def embed(self, key: ImageKey, caller: Hashable, progress: Callable[[], None]) -> "Future[Looked]":
        """Begin with one image; may block until it is done.

        `caller` is the message whose turn it takes; `progress` is called whenever something was done. The
        future can be cancelled until the image's turn has come.
        """

    def check_alive(self) -> None:
        """Raise where images that were begun will have no answer."""


def fetch(source: ImageSource, key: ImageKey) -> Fetched | NotModified | ImageError | TransientError:
    """The bytes of one image, or why there are none."""
    try:
        return source.fetch(key.uri, etag=key.etag) or NotModified()
    except (ImageError, TransientError) as error:
        return error


def to_pixels(fetched: Fetched, key: ImageKey, p: Preprocessing, max_pixels: int) -> Pixels | ImageError:
    """Decode and resize one image, or say why it can't be."""
    try:
        pixels = input_of(fetched.data, name=key.uri, p=p, max_pixels=max_pixels)
        return Pixels(pixels, fetched.etag)
    except ImageError as error:
        return error


def outcome_of(pixels: Pixels, key: ImageKey, row: Row) -> Outcome:
    """The row, unless it is not finite: engines would take it without a word."""
    if np.isfinite(row).all():
        return Embedded(row, pixels.etag)
    return ImageNotDecodable(key.uri, "the encoder gave numbers that are not finite")


@dataclass(frozen=True, slots=True)
class _Loaded:
    found: Outcome | Pixels
    fetch_s: float = 0.0
    decode_s: float = 0.0


@dataclass(frozen=True, slots=True, eq=False)
class _Asked:
    key: ImageKey
    caller: Hashable
    progress: Callable[[], None]
    looked: "Future[Looked]" = field(default_factory=Future)


class ImageEmbedder:
    """The image stage of a process: threads that fetch and decode, batches that embed. Thread-safe.

    Callers take turns, image by image, so that a message of one image doesn't wait for hundreds of another's.
    Pixels go to the batcher as soon as they are there, and wait for its room: it bounds how many are held.
    """

    def __init__(
        self, source: ImageSource, batcher: DynamicBatcher, images: ImageSettings, breakers: Breakers
    ) -> None:
        self._source = source
        self._batcher = batcher
        self._breakers = breakers
        self._max_pixels = images.max_pixels
        self._threads = ThreadPoolExecutor(images.threads, thread_name_prefix="image")
        self._lock = Lock()
        self._waiting: FairQueue[_Asked] = FairQueue()

    def embed(self, key: ImageKey, caller: Hashable, progress: Callable[[], None]) -> "Future[Looked]":
        """See `ImageStage`; does not block."""
        asked = _Asked(key, caller, progress)
        asked.looked.add_done_callback(lambda _: progress())
        with self._lock:
            self._waiting.put(caller, asked)
        self._threads.submit(self._look_at_next)
        return asked.looked

    def check_alive(self) -> None:
        """See `ImageStage`.

        Raises:
            EncoderLost: a thread of the encoder is gone, or it hangs.
        """
        self._batcher.check_alive()

    def close(self) -> None:
        """Cancel what waits, finish what is being fetched, and end the threads."""
        self._threads.shutdown(wait=False, cancel_futures=True)
        while asked := self._next():
            asked.looked.cancel()
        self._threads.shutdown()

    def _next(self) -> _Asked | None:
        with self._lock:
            return self._waiting.take()

    def _look_at_next(self) -> None:
        """Look at the image whose turn it is; run once for each that was put in the queue."""
        asked = self._next()
        if asked is None or not asked.looked.set_running_or_notify_cancel():
            return
        try:
            loaded = self._load(asked.key)
            if isinstance(loaded.found, Pixels):
                asked.progress()
                self._embed(loaded.found, loaded, asked)
            else:
                asked.looked.set_result(Looked(loaded.found, loaded.fetch_s, loaded.decode_s))
        except BaseException as error:  # noqa: BLE001  # it reaches whoever waits
            asked.looked.set_exception(error)

    def _load(self, key: ImageKey) -> _Loaded:
        started = time.perf_counter()
        if not self._breakers.lets_through(key.uri):
            return _Loaded(ImageStoreUnavailable(f"{key.uri}: not asked, its store is away"))
        fetched = fetch(self._source, key)
        self._breakers.hear(key.uri, fetched)
        fetched_at = time.perf_counter()
        if not isinstance(fetched, Fetched):
            return _Loaded(fetched, fetched_at - started)
        pixels = to_pixels(fetched, key, self._batcher.encoder.spec.preprocessing, self._max_pixels)
        return _Loaded(pixels, fetched_at - started, time.perf_counter() - fetched_at)

    def _embed(self, pixels: Pixels, loaded: _Loaded, asked: _Asked) -> None:
        def answer(row: "Future[Row]") -> None:
            if error := row.exception():
                asked.looked.set_exception(error)
                return
            outcome = outcome_of(pixels, asked.key, row.result())
            span = begun, time.perf_counter()
            asked.looked.set_result(Looked(outcome, loaded.fetch_s, loaded.decode_s, span))

        begun = time.perf_counter()
        self._batcher.submit(pixels.pixels, caller=asked.caller).add_done_callback(answer)
