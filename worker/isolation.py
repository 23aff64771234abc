"""Images in a process of their own, one at a time: what ends or wedges that process is known for certain.

The child is spawned with the first image in quarantine, answers one request after the other and ends when
nothing is asked of it for a while. It has the encoder that was asked for last. Both ends of the pipe are in
this file.
"""

import logging
import multiprocessing
import signal
import time
from collections.abc import Callable, Hashable
from concurrent.futures import Future
from dataclasses import dataclass
from multiprocessing.connection import Connection
from threading import Lock
from typing import TYPE_CHECKING

import torch

from config.logging import configure_logging
from config.settings import EncoderSettings, Settings
from recommender import metrics
from recommender.encoders.load import device_of, load_encoder
from recommender.encoders.protocol import Encoder
from recommender.errors import ImageLethal, ProcessLost, TransientError
from recommender.images.fetched import READS_PER_IMAGE, Fetched
from recommender.images.source import ImageSource
from worker.breaker import Breakers
from worker.deliveries import Deliveries
from worker.die_with_parent import die_with_parent
from worker.embedding import Looked, Outcome, Pixels, fetch, outcome_of, to_pixels
from worker.plan import ImageKey

if TYPE_CHECKING:
    from multiprocessing.context import SpawnProcess

log = logging.getLogger(__name__)
START_WITHIN_S = 180.0
"""Importing torch, reading the weights and warming up."""
READ_WITHIN_S = 20.0
"""Decoding and embedding one image."""
IDLE_S = 60.0
_TAKEN, _FETCHED = "taken", "fetched"


_Asked = tuple[ImageKey, EncoderSettings]


@dataclass(frozen=True, slots=True)
class _Failed:
    """An exception of no known reason, which may not cross from one process to another itself."""

    why: str


class ImageProcess:
    """The child, as its parent sees it. Any thread may ask; one is answered at a time."""

    def __init__(self, settings: Settings) -> None:
        self._settings = settings
        # Every read and connect has `timeout_s`, tried twice; see recommender.images.
        self._fetch_within_s = (READS_PER_IMAGE + 4) * settings.s3.timeout_s
        self._lock = Lock()
        self._process: SpawnProcess | None = None
        self._pipe: Connection | None = None

    def read(self, key: ImageKey, by: EncoderSettings, progress: Callable[[], None]) -> Outcome:
        """Fetch, decode and embed one image; blocks until the child has answered or ended.

        `by` is what the encoder is loaded by. `progress` is called every second meanwhile: that the child has
        not hung is seen to here.

        Raises:
            ProcessLost: the child ended, or hung and was ended, while it had this image.
            TransientError: no child can be started.
            RuntimeError: it failed for no known reason.
        """
        while not self._lock.acquire(timeout=1):
            progress()
        try:
            pipe = self._hand_over((key, by), progress)
            try:
                return self._answer(pipe, progress)
            except (EOFError, OSError) as error:
                how = "hung and was ended" if isinstance(error, TimeoutError) else "ended"
                code = self._end()
                metrics.PROCESSES_LOST.inc()
                log.warning("image_process_lost", extra={"image": key.uri, "how": how, "code": code})
                raise ProcessLost(f"{key.uri}: the process that read it {how} (code {code})") from error
        finally:
            self._lock.release()

    def close(self) -> None:
        """End the child; waits for the image it has."""
        with self._lock:
            self._end()

    def _answer(self, pipe: Connection, progress: Callable[[], None]) -> Outcome:
        found = _next(pipe, self._fetch_within_s, progress)
        if found == _FETCHED:
            found = _next(pipe, READ_WITHIN_S, progress)
        assert not isinstance(found, str)
        if isinstance(found, _Failed):
            raise RuntimeError(found.why)  # noqa: TRY004  # of whatever type it was
        return found

    def _hand_over(self, asked: _Asked, progress: Callable[[], None]) -> Connection:
        """Give the image to a child that says it has it; one that was there may have ended by now, idle."""
        for _ in range(2):
            pipe = self._pipe or self._start()
            try:
                pipe.send(asked)
                _next(pipe, START_WITHIN_S, progress)
            except (EOFError, OSError):
                self._end()
            else:
                return pipe
        raise TransientError("the process for images in quarantine does not start; its log says why")

    def _start(self) -> Connection:
        context = multiprocessing.get_context("spawn")  # CUDA and threads don't survive a fork
        self._pipe, theirs = context.Pipe()
        self._process = context.Process(
            target=_serve, args=(theirs, self._settings), name="images-in-quarantine", daemon=True
        )
        self._process.start()
        theirs.close()
        return self._pipe

    def _end(self) -> int | None:
        """End the child if it runs; returns its exit code, negative for a signal."""
        process, pipe = self._process, self._pipe
        self._process = self._pipe = None
        if process is None or pipe is None:
            return None
        pipe.close()
        process.join(1)  # it may be ending by itself, with a code that says more than ours
        process.kill()
        process.join()
        code = process.exitcode
        process.close()
        return code


class Quarantined:
    """The image stage of one message in quarantine. Called by the thread of its body."""

    def __init__(
        self,
        process: ImageProcess,
        by: EncoderSettings,
        deliveries: Deliveries,
        breakers: Breakers,
        tag: str,
        *,
        last: bool,
    ) -> None:
        self._process = process
        self._by = by
        self._deliveries = deliveries
        self._breakers = breakers
        self._tag = tag
        self._last = last

    def embed(self, key: ImageKey, caller: Hashable, progress: Callable[[], None]) -> "Future[Looked]":
        """Find the outcome of one image; blocks until it is there.

        An image that costs the child its life is a `ProcessLost`, and an `ImageLethal` at the last delivery.

        Raises:
            BrokerUnavailable: Redis failed.
            TransientError: no child can be started.
            RuntimeError: an image failed for no known reason.
        """
        del caller
        looked: Future[Looked] = Future()
        self._deliveries.lend(self._tag)
        try:
            outcome = self._process.read(key, self._by, progress)
            self._breakers.hear(key.uri, outcome)
            looked.set_result(Looked(outcome))
        except ProcessLost as error:
            reason = "its process ended or hung at every delivery"
            looked.set_result(Looked(ImageLethal(key.uri, reason) if self._last else error))
        finally:
            self._deliveries.take_back(self._tag)
        return looked

    def check_alive(self) -> None:
        """Nothing is waited for: whatever was begun is done."""


def _next(pipe: Connection, within_s: float, progress: Callable[[], None]) -> Outcome | _Failed | str:
    deadline = time.monotonic() + within_s
    while not pipe.poll(1):
        progress()
        if time.monotonic() > deadline:
            raise TimeoutError
    progress()
    answer: Outcome | _Failed | str = pipe.recv()
    return answer


# In the child.


def _serve(pipe: Connection, settings: Settings) -> None:
    """Answer until nothing is asked."""
    die_with_parent(signal.SIGKILL)
    for number in (signal.SIGINT, signal.SIGTERM):  # sent to the group: the parent ends its child
        signal.signal(number, signal.SIG_IGN)
    configure_logging(settings.log)
    source = ImageSource(settings.s3, settings.images)
    loaded_by: EncoderSettings | None = None
    while pipe.poll(IDLE_S):
        try:
            asked: _Asked = pipe.recv()
        except EOFError:
            return
        key, by = asked
        if by != loaded_by:
            encoder, loaded_by = load_encoder(_for_one_image(by)), by
        pipe.send(_TAKEN)
        fetched = fetch(source, key)
        if isinstance(fetched, Fetched):
            pipe.send(_FETCHED)
            pipe.send(_embedded(fetched, key, encoder, settings.images.max_pixels))
        else:
            pipe.send(fetched)


def _for_one_image(settings: EncoderSettings) -> EncoderSettings:
    """Leave out what makes large batches fast on a GPU: its memory is the worker's own encoder's."""
    if device_of(settings) == "cpu":
        return settings
    return settings.model_copy(update={"max_batch_size": 1, "runtime": "torch"})


def _embedded(fetched: Fetched, key: ImageKey, encoder: Encoder, max_pixels: int) -> Outcome | _Failed:
    """What becomes of the bytes; memory that is out, or a lost device, ends the process."""
    try:
        pixels = to_pixels(fetched, key, encoder.spec.preprocessing, max_pixels)
        if not isinstance(pixels, Pixels):
            return pixels
        return outcome_of(pixels, key, encoder.encode_images(pixels.pixels[None])[0])
    except torch.OutOfMemoryError as error:  # the worker's own encoder has the device's memory
        return TransientError(f"{key.uri}: the device has no memory for a second encoder: {error}")
    except (MemoryError, torch.AcceleratorError):
        raise
    except Exception as error:
        log.exception("image_failed", extra={"image": key.uri})
        return _Failed(f"{key.uri}: {error!r}")
