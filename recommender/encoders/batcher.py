"""One thread drives the encoder; what many threads ask meanwhile is merged into device batches.

Dynamic batching: a batch is dispatched at once when the encoder is idle; while it works, inputs queue up
and the next batch takes them all, up to `max_batch_size`. So an idle system answers without delay,
and a busy one runs full batches, without a timer to tune.
"""

import logging
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Any, Literal

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from recommender import metrics
from recommender.encoders.protocol import Embeddings, Encoder
from recommender.errors import EncoderLost, ShuttingDown, TransientError

log = logging.getLogger(__name__)

Kind = Literal["image", "text"]

_QUEUED_BATCHES = 4
"""Batches' worth of inputs that may wait in each priority before callers wait for room: enough to keep the
encoder busy, and a bound on memory.
"""
_STALL_S = 300.0
_LOOK_S = 1.0
_CLOSE_S = 30.0
_CLOSING = "the encoder is shutting down"


@dataclass(slots=True, eq=False)
class _Call:
    """What one caller waits for; its rows may come from several batches. Changed under the lock alone."""

    rows: Embeddings
    missing: int
    future: "Future[Embeddings]" = field(default_factory=Future)
    abandoned: bool = False

    @property
    def is_over(self) -> bool:
        return self.abandoned or self.future.done()

    def deliver(self, row: int, embedding: NDArray[np.float32]) -> None:
        self.rows[row] = embedding
        self.missing -= 1
        if self.missing == 0 and not self.future.done():
            self.future.set_result(self.rows)

    def fail(self, error: BaseException) -> None:
        if not self.future.done():
            self.future.set_exception(error)


@dataclass(slots=True, eq=False)
class _Item:
    """One input of a call."""

    kind: Kind
    payload: Any
    call: _Call
    row: int


class DynamicBatcher:
    """Merges what threads ask into batches. Thread-safe; owns one thread, from construction to `close`.

    Urgent inputs (a shopper is waiting) go before all others and have a queue of their own.
    A batch that fails is tried again input by input, so that a caller fails by its own inputs alone; one that
    the device has no memory for is halved, and so are all after it.
    When the device's context is lost, the thread dies, or the encoder answers nothing for `stall_s`, every
    waiter and every later caller gets an `EncoderLost` that says why: the process must end.
    """

    def __init__(self, encoder: Encoder, max_batch_size: int, *, stall_s: float = _STALL_S) -> None:
        self.encoder = encoder
        self._max_batch_size = max_batch_size
        self._stall_s = stall_s
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._urgent: deque[_Item] = deque()
        self._ordinary: deque[_Item] = deque()
        self._in_hand: list[_Item] = []
        self._encoding_since: float | None = None
        self._closing = False
        self._death: BaseException | None = None
        self._thread = threading.Thread(target=self._run, name="encoder", daemon=True)
        self._thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether calls are still answered; for the readiness probe."""
        return self._thread.is_alive() and not self._closing and not self._is_stalled()

    def embed_images(self, pixels: Sequence[Tensor], *, urgent: bool = False) -> Embeddings:
        """Embed images, each (3, input_px, input_px) uint8 RGB; blocks until all are done.

        Raises:
            ValueError: an image has another shape or type; nothing was queued.
            ShuttingDown: the batcher is closing.
            EncoderLost: the encoder's thread died or hangs.
            TransientError: the device has no memory for a single image.
            Exception: what the encoder raised for one of these images.
        """
        side = self.encoder.spec.preprocessing.input_px
        for row, image in enumerate(pixels):
            if image.shape != (3, side, side) or image.dtype != torch.uint8:
                raise ValueError(
                    f"image {row} is {tuple(image.shape)} {image.dtype}, not (3, {side}, {side}) torch.uint8"
                )
        return self._embed("image", pixels, urgent=urgent)

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts into the space of the images, urgently; blocks until all are done.

        Raises:
            TextNotSupported: the encoder has no text tower.
            ShuttingDown: the batcher is closing.
            EncoderLost: the encoder's thread died or hangs.
        """
        return self._embed("text", texts, urgent=True)

    def close(self) -> None:
        """Let the batch in hand finish, fail what is queued with `ShuttingDown`, end the thread.

        Safe to call twice, and from any thread.
        """
        with self._lock:
            self._closing = True
            self._fail_queued(lambda: ShuttingDown(_CLOSING))
            self._work.notify_all()
            self._room.notify_all()
        self._thread.join(_CLOSE_S)
        if self._thread.is_alive():
            log.error("encoder_hangs", extra={"seconds": _CLOSE_S})
            with self._lock:
                for item in self._in_hand:
                    item.call.fail(ShuttingDown(_CLOSING))

    # In the callers' threads.

    def _embed(self, kind: Kind, payloads: Sequence[Any], *, urgent: bool) -> Embeddings:
        rows = np.empty((len(payloads), self.encoder.spec.dimension), np.float32)
        if not len(payloads):
            return rows
        call = _Call(rows, missing=len(payloads))
        items = deque(_Item(kind, payload, call, row) for row, payload in enumerate(payloads))
        try:
            self._enqueue(items, call, self._urgent if urgent else self._ordinary)
            while not wait((call.future,), _LOOK_S).done:
                with self._lock:
                    self._raise_if_silent(call)
            return call.future.result()
        finally:
            call.abandoned = True  # after an error, nobody waits for what is still queued

    def _enqueue(self, items: deque[_Item], call: _Call, queue: deque[_Item]) -> None:
        """Queue the items as there is room for them; blocks meanwhile."""
        with self._lock:
            while items and not call.is_over:
                self._raise_if_stopped()
                self._raise_if_silent(call)
                room = _QUEUED_BATCHES * self._max_batch_size - len(queue)
                if room > 0:
                    queue.extend(items.popleft() for _ in range(min(room, len(items))))
                    self._count_queued()
                    self._work.notify()
                else:
                    self._room.wait(_LOOK_S)

    def _raise_if_stopped(self) -> None:
        if self._death is not None:
            raise _dead(self._death)
        if self._closing:
            raise ShuttingDown(_CLOSING)

    def _raise_if_silent(self, call: _Call) -> None:
        """Raise where no answer will come: the last resort, since a stop settles every call."""
        if not call.is_over and not self._thread.is_alive():
            raise EncoderLost("the encoder's thread is gone: restart this process")
        if self._is_stalled():
            raise EncoderLost(f"the encoder has answered nothing for {self._stall_s:.0f} s")

    def _is_stalled(self) -> bool:
        since = self._encoding_since
        return since is not None and time.monotonic() - since > self._stall_s

    # In the encoder's thread.

    def _run(self) -> None:
        try:
            while batch := self._next_batch():
                self._answer(batch)
        except BaseException as death:  # it reaches every caller, now and later
            log.critical("encoder_thread_died", exc_info=death)
            self._die(death)

    def _next_batch(self) -> list[_Item]:
        """Wait for inputs and take a batch of one kind, the urgent ones first; none means: close."""
        with self._lock:
            self._in_hand = []
            while not self._closing:
                self._take_batch()
                if self._in_hand:
                    break
                self._work.wait()
            return self._in_hand

    def _take_batch(self) -> None:
        for queue in (self._urgent, self._ordinary):
            while queue and len(self._in_hand) < self._max_batch_size:
                if self._in_hand and queue[0].kind != self._in_hand[0].kind:
                    break
                item = queue.popleft()
                if not item.call.is_over:
                    self._in_hand.append(item)
        self._count_queued()
        self._room.notify_all()

    def _answer(self, batch: list[_Item]) -> None:
        """Encode a batch and hand out its rows; where it fails, each input again on its own."""
        try:
            rows = self._encode(batch)
        except torch.OutOfMemoryError as error:
            self._answer_halves(batch, error)
        except Exception as error:
            if isinstance(error, torch.AcceleratorError):  # the device's context is lost, and stays so
                raise
            if len(batch) == 1:
                with self._lock:
                    batch[0].call.fail(error)
                return
            log.warning("encode_batch_failed", extra={"size": len(batch), "error": repr(error)})
            for item in batch:
                if not item.call.is_over:
                    self._answer([item])
        else:
            with self._lock:
                for item, row in zip(batch, rows, strict=True):
                    item.call.deliver(item.row, row)

    def _answer_halves(self, batch: list[_Item], error: torch.OutOfMemoryError) -> None:
        """Encode half of a batch at a time, since the device has no memory for all of it."""
        half = len(batch) // 2
        log.warning("encoder_out_of_memory", extra={"size": len(batch), "error": str(error)})
        torch.cuda.empty_cache()  # what is cached in blocks of other sizes
        if half == 0:
            with self._lock:
                batch[0].call.fail(TransientError(f"the device has no memory for one input: {error}"))
            return
        self._max_batch_size = min(self._max_batch_size, half)
        self._answer(batch[:half])
        self._answer(batch[half:])

    def _encode(self, batch: list[_Item]) -> Embeddings:
        kind = batch[0].kind
        payloads = [item.payload for item in batch]
        metrics.ENCODE_BATCH_SIZE.labels(kind).observe(len(batch))
        self._encoding_since = time.monotonic()
        try:
            with metrics.ENCODE_SECONDS.labels(kind).time():
                if kind == "text":
                    rows = self.encoder.encode_texts(payloads)
                else:
                    rows = self.encoder.encode_images(torch.stack(payloads))
        finally:
            self._encoding_since = None
        if rows.shape != (len(batch), self.encoder.spec.dimension):
            raise ValueError(f"the encoder answered {rows.shape} for {len(batch)} inputs")
        return rows

    def _die(self, death: BaseException) -> None:
        with self._lock:
            self._death = death
            for item in self._in_hand:
                item.call.fail(_dead(death))
            self._fail_queued(lambda: _dead(death))
            self._room.notify_all()

    # With the lock held.

    def _fail_queued(self, error: Callable[[], Exception]) -> None:
        for queue in (self._urgent, self._ordinary):
            for item in queue:
                item.call.fail(error())  # one each: raising it in several threads would mix their tracebacks
            queue.clear()
        self._count_queued()

    def _count_queued(self) -> None:
        metrics.ENCODE_QUEUE_DEPTH.labels("urgent").set(len(self._urgent))
        metrics.ENCODE_QUEUE_DEPTH.labels("ordinary").set(len(self._ordinary))


def _dead(death: BaseException) -> EncoderLost:
    error = EncoderLost(f"the encoder's thread died of {death!r}: restart this process")
    error.__cause__ = death
    return error
