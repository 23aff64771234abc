"""What many threads ask of the encoder is merged into device batches, two of them in flight.

Dynamic batching: a batch is dispatched at once when the encoder is idle; while it works, inputs queue up
and the next batch takes them all, up to `max_batch_size`. So an idle system answers without delay,
and a busy one runs full batches, without a timer to tune. A second batch is put together, and copied to
the device, while the first is computed; it is taken ahead of time only if it is full.
"""

import logging
import threading
import time
from collections.abc import Callable, Hashable, Sequence
from concurrent.futures import FIRST_EXCEPTION, Future, wait
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recommender import metrics
from recommender.encoders.backlog import Backlog, Call, Item, Kind, Priority, Row
from recommender.encoders.protocol import CALLERS, Embeddings, Encoder
from recommender.errors import EncoderLost, ShuttingDown, TransientError

log = logging.getLogger(__name__)

_QUEUED_BATCHES = 4
"""Batches' worth of inputs that may wait in each priority before callers wait for room: enough to keep the
encoder busy, and a bound on memory.
"""
_STALL_S = 300.0
_LOOK_S = 1.0
_CLOSE_S = 30.0
_CLOSING = "the encoder is shutting down"


@dataclass(slots=True, eq=False)
class _Lane:
    """One of the batches in flight, and when the encoder was asked for it. Changed under the lock alone."""

    batch: list[Item] = field(default_factory=list)
    since: float | None = None


class DynamicBatcher:
    """Merges what threads ask into batches. Thread-safe; owns `CALLERS` threads until `close`.

    Urgent inputs (a shopper is waiting) go before all others and have a queue of their own. Callers of one
    priority are served in turn, input by input.
    A batch that fails is tried again input by input, so that a caller fails by its own inputs alone; one that
    the device has no memory for is halved, and so are all after it.
    When the device's context is lost, a thread dies, or the encoder answers nothing for `stall_s`, every
    waiter and every later caller gets an `EncoderLost` that says why: the process must end.
    """

    def __init__(self, encoder: Encoder, max_batch_size: int, *, stall_s: float = _STALL_S) -> None:
        self.encoder = encoder
        self._max_batch_size = max_batch_size
        self._stall_s = stall_s
        self._lock = threading.Lock()
        self._work = threading.Condition(self._lock)
        self._room = threading.Condition(self._lock)
        self._backlog = Backlog()
        self._lanes = [_Lane() for _ in range(CALLERS)]
        self._closing = False
        self._death: BaseException | None = None
        self._threads = [
            threading.Thread(target=self._run, args=(lane,), name=f"encoder-{number}", daemon=True)
            for number, lane in enumerate(self._lanes)
        ]
        for thread in self._threads:
            thread.start()

    @property
    def is_alive(self) -> bool:
        """Whether calls are still answered; for the readiness probe."""
        return not self._closing and not self._is_stalled() and all(t.is_alive() for t in self._threads)

    def submit(self, pixels: Tensor, *, caller: Hashable) -> "Future[Row]":
        """Queue one image, (3, input_px, input_px) uint8 RGB; blocks only while there is no room for it.

        The future gets the image's row, or what `embed_images` would raise. `caller` is whose turn it takes.
        Whoever waits for it asks `check_alive` now and then: a hanging encoder leaves it without an answer.

        Raises:
            ValueError: the image has another shape or type.
            ShuttingDown: the batcher is closing.
            EncoderLost: a thread of the encoder died, or hangs.
        """
        self._check(pixels, 0)
        item = Item("image", pixels, Call())
        self._enqueue([item], item.call, "ordinary", caller)
        return item.future

    def embed_images(self, pixels: Sequence[Tensor], *, urgent: bool = False) -> Embeddings:
        """Embed images, each (3, input_px, input_px) uint8 RGB; blocks until all are done.

        Raises:
            ValueError: an image has another shape or type; nothing was queued.
            ShuttingDown: the batcher is closing.
            EncoderLost: a thread of the encoder died, or hangs.
            TransientError: the device has no memory for a single image.
            Exception: what the encoder raised for one of these images.
        """
        for row, image in enumerate(pixels):
            self._check(image, row)
        return self._embed("image", pixels, "urgent" if urgent else "ordinary")

    def embed_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts into the space of the images, urgently; blocks until all are done.

        Raises:
            TextNotSupported: the encoder has no text tower.
            ShuttingDown: the batcher is closing.
            EncoderLost: a thread of the encoder died, or hangs.
        """
        return self._embed("text", texts, "urgent")

    def check_alive(self) -> None:
        """Raise where no answer will come to what is queued.

        Raises:
            EncoderLost: a thread of the encoder is gone, or it hangs.
        """
        if self._is_stalled():
            raise EncoderLost(f"the encoder has answered nothing for {self._stall_s:.0f} s")
        if not self._closing and not all(thread.is_alive() for thread in self._threads):
            raise EncoderLost("a thread of the encoder is gone: restart this process")

    def close(self) -> None:
        """Let the batches in flight finish, fail what is queued with `ShuttingDown`, end the threads.

        Safe to call twice, and from any thread.
        """
        with self._lock:
            self._closing = True
            self._fail_queued(lambda: ShuttingDown(_CLOSING))
        deadline = time.monotonic() + _CLOSE_S
        for thread, lane in zip(self._threads, self._lanes, strict=True):
            thread.join(max(0.0, deadline - time.monotonic()))
            if thread.is_alive():
                log.error("encoder_hangs", extra={"seconds": _CLOSE_S})
                with self._lock:
                    for item in lane.batch:
                        item.fail(ShuttingDown(_CLOSING))

    # In the callers' threads.

    def _check(self, image: Tensor, row: int) -> None:
        side = self.encoder.spec.preprocessing.input_px
        if image.shape != (3, side, side) or image.dtype != torch.uint8:
            raise ValueError(
                f"image {row} is {tuple(image.shape)} {image.dtype}, not (3, {side}, {side}) torch.uint8"
            )

    def _embed(self, kind: Kind, payloads: Sequence[Any], priority: Priority) -> Embeddings:
        rows = np.empty((len(payloads), self.encoder.spec.dimension), np.float32)
        call = Call()
        items = [Item(kind, payload, call) for payload in payloads]
        try:
            self._enqueue(items, call, priority, caller=call)
            pending = {item.future for item in items}
            while pending:
                done, pending = wait(pending, _LOOK_S, FIRST_EXCEPTION)
                for future in done:
                    future.result()
                if pending:
                    self.check_alive()
            for row, item in enumerate(items):
                rows[row] = item.future.result()
            return rows
        finally:
            for item in items:  # after an error, nobody waits for what is still queued
                item.future.cancel()

    def _enqueue(self, items: Sequence[Item], call: Call, priority: Priority, caller: Hashable) -> None:
        """Queue the items as there is room for them, unless one has failed meanwhile; blocks."""
        with self._lock:
            for item in items:
                while not self._backlog.has_room(priority, caller, _QUEUED_BATCHES * self._max_batch_size):
                    self._room.wait(_LOOK_S)
                    if call.failed:
                        return
                    self._raise_if_stopped()
                self._raise_if_stopped()
                self._backlog.put(priority, caller, item)
                if self._may_take():
                    self._work.notify()

    def _raise_if_stopped(self) -> None:
        if self._death is not None:
            raise _dead(self._death)
        if self._closing:
            raise ShuttingDown(_CLOSING)
        self.check_alive()

    def _is_stalled(self) -> bool:
        now = time.monotonic()
        asked_at = [lane.since for lane in self._lanes]
        return any(since is not None and now - since > self._stall_s for since in asked_at)

    # In the encoder's threads.

    def _run(self, lane: _Lane) -> None:
        try:
            while batch := self._next_batch(lane):
                self._answer(batch, lane)
        except BaseException as death:  # it reaches every caller, now and later
            log.critical("encoder_thread_died", exc_info=death)
            self._die(death)

    def _next_batch(self, lane: _Lane) -> list[Item]:
        """Wait for a batch; none means: close."""
        with self._lock:
            self._release(lane)
            while not self._closing and self._death is None:
                if not self._may_take():
                    self._work.wait()
                    continue
                lane.batch = self._backlog.take(self._max_batch_size)
                self._room.notify_all()  # also where all that it took had been given up
                if lane.batch:
                    if self._may_take():
                        self._work.notify()
                    return lane.batch
            return []

    def _answer(self, batch: list[Item], lane: _Lane) -> None:
        """Encode a batch and hand out its rows; where it fails, each input again on its own."""
        try:
            rows = self._encode(batch, lane)
        except torch.OutOfMemoryError as error:
            self._answer_halves(batch, lane, error)
        except torch.AcceleratorError:  # the device's context is lost, and stays so
            raise
        except Exception as error:  # noqa: BLE001  # it is its callers' to hear
            self._answer_one_by_one(batch, lane, error)
        else:
            if batch is lane.batch:
                with self._lock:
                    self._release(lane)  # the next batch is computed while these rows are handed out
            for item, row in zip(batch, rows, strict=True):
                item.answer(row)

    def _answer_one_by_one(self, batch: list[Item], lane: _Lane, error: Exception) -> None:
        if len(batch) == 1:
            batch[0].fail(error)
            return
        log.warning("encode_batch_failed", extra={"size": len(batch), "error": repr(error)})
        for item in batch:
            if not item.call.failed:
                self._answer([item], lane)

    def _answer_halves(self, batch: list[Item], lane: _Lane, error: torch.OutOfMemoryError) -> None:
        """Encode half of a batch at a time, since the device has no memory for all of it."""
        half = len(batch) // 2
        log.warning("encoder_out_of_memory", extra={"size": len(batch), "error": str(error)})
        torch.cuda.empty_cache()  # what is cached in blocks of other sizes
        if half == 0:
            batch[0].fail(TransientError(f"the device has no memory for one input: {error}"))
            return
        with self._lock:
            self._max_batch_size = min(self._max_batch_size, half)
        self._answer(batch[:half], lane)
        self._answer(batch[half:], lane)

    def _encode(self, batch: list[Item], lane: _Lane) -> Embeddings:
        kind = batch[0].kind
        payloads = [item.payload for item in batch]
        metrics.ENCODE_BATCH_SIZE.labels(kind).observe(len(batch))
        lane.since = time.monotonic()
        try:
            with metrics.ENCODE_SECONDS.labels(kind).time():
                if kind == "text":
                    rows = self.encoder.encode_texts(payloads)
                else:
                    rows = self.encoder.encode_images(torch.stack(payloads))
        finally:
            lane.since = None
        if rows.shape != (len(batch), self.encoder.spec.dimension):
            raise ValueError(f"the encoder answered {rows.shape} for {len(batch)} inputs")
        return rows

    def _die(self, death: BaseException) -> None:
        with self._lock:
            self._death = death
            for lane in self._lanes:
                for item in lane.batch:
                    item.fail(_dead(death))
            self._fail_queued(lambda: _dead(death))

    # With the lock held.

    def _may_take(self) -> bool:
        """Whether a lane may take a batch: a full one, or whatever there is for an idle encoder."""
        if len(self._backlog) >= self._max_batch_size:
            return True
        return len(self._backlog) > 0 and not any(lane.batch for lane in self._lanes)

    def _release(self, lane: _Lane) -> None:
        """The encoder is done with this lane's batch."""
        lane.batch = []
        if self._may_take():
            self._work.notify()

    def _fail_queued(self, error: Callable[[], Exception]) -> None:
        for item in self._backlog.take_all():
            item.fail(error())  # one each: raising it in several threads would mix their tracebacks
        self._work.notify_all()
        self._room.notify_all()


def _dead(death: BaseException) -> EncoderLost:
    error = EncoderLost(f"the encoder's thread died of {death!r}: restart this process")
    error.__cause__ = death
    return error
