"""The faults that the harness injects into a worker, and into the child that it spawns for images.

Everything is put in place before the modules that use it are imported, so that shipped code has no hooks.
"""

import ctypes
import hashlib
import os
import random
import threading
import time
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import simplejpeg
from PIL import Image
from torch import Tensor

import recommender.encoders.load
from recommender.encoders.protocol import Embeddings
from recommender.errors import IndexUnavailable
from tests.chaos import record
from tests.pixels import PixelEncoder

if TYPE_CHECKING:
    import redis


def install(client: "redis.Redis") -> None:
    """Replace the encoder, and let the decoder fail on demand."""
    recommender.encoders.load.load_encoder = lambda _: CountingEncoder(client)
    Image.open = _hurting(Image.open, lambda image: image.width)
    simplejpeg.decode_jpeg = _hurting(simplejpeg.decode_jpeg, lambda pixels: pixels.shape[1])


def install_in_worker(client: "redis.Redis") -> None:
    """Let the index fail on demand; the child for images has none."""
    from recommender.index import open as opening  # noqa: PLC0415  # a second that the child need not spend

    open_index = opening.open_serving_index
    away = _Switch(client)
    opening.open_serving_index = lambda *args: _Failing(open_index(*args), away)


def _exit() -> None:
    os._exit(9)


def _segfault() -> None:
    ctypes.string_at(0)


def _out_of_memory() -> None:
    raise MemoryError("injected")


def _hang() -> None:
    while True:
        time.sleep(1)


FAULTS: dict[int, Callable[[], None]] = {
    record.LETHAL["exit"]: _exit,
    record.LETHAL["segfault"]: _segfault,
    record.LETHAL["memory"]: _out_of_memory,
    record.LETHAL["hang"]: _hang,
}


def _hurting(decode: Callable[..., Any], width: Callable[[Any], int]) -> Callable[..., Any]:
    def decode_or_worse(*args: Any, **kwargs: Any) -> Any:
        decoded = decode(*args, **kwargs)
        if fault := FAULTS.get(width(decoded)):
            fault()
        return decoded

    return decode_or_worse


class _Switch:
    """Whether the index is away; asked by any thread, looked up ten times a second at most."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._lock = threading.Lock()
        self._looked_at = 0.0
        self._on = False

    def is_on(self) -> bool:
        with self._lock:
            if time.monotonic() - self._looked_at > 0.1:
                self._on = bool(self._client.exists(record.INDEX_AWAY))
                self._looked_at = time.monotonic()
            return self._on


class _Failing:
    """A ProductIndex that is away while the switch is on: it refuses at once, or after a second."""

    def __init__(self, index: Any, away: _Switch) -> None:
        self._index = index
        self._away = away

    def __getattr__(self, name: str) -> Any:
        found = getattr(self._index, name)
        if name == "close" or not callable(found):
            return found

        def call(*args: Any, **kwargs: Any) -> Any:
            if self._away.is_on():
                time.sleep(random.choice((0.0, 1.0)))
                raise IndexUnavailable("injected: the index is away")
            return found(*args, **kwargs)

        return call


class CountingEncoder(PixelEncoder):
    """Notes how often it was given each picture."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client

    def encode_images(self, pixels: Tensor) -> Embeddings:
        with self._client.pipeline(transaction=False) as pipe:
            for image in pixels.numpy():
                pipe.hincrby(record.EMBEDDED, hashlib.sha256(image.tobytes()).hexdigest(), 1)
            pipe.execute()
        return super().encode_images(pixels)
