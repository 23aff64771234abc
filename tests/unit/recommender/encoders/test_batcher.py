"""The dynamic batcher, driven by many threads against an encoder that waits where a test tells it to."""

import threading
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from prometheus_client import REGISTRY as METRICS
from torch import Tensor

from recommender.encoders.batcher import DynamicBatcher
from recommender.encoders.protocol import Embeddings, EncoderSpec
from recommender.encoders.registry import spec_of
from recommender.errors import EncoderLost, ShuttingDown, TransientError

SIDE, DIMENSION, LIMIT_S = 2, 3, 20
_COMPACT = spec_of("compact")
SPEC = replace(
    _COMPACT,
    dimension=DIMENSION,
    preprocessing=replace(_COMPACT.preprocessing, input_px=SIDE, resize_px=SIDE),
)


def image(value: int) -> Tensor:
    return torch.full((3, SIDE, SIDE), value, dtype=torch.uint8)


def rows_of(*values: int) -> NDArray[np.float32]:
    return np.array([[value, value + 0.5, -value] for value in values], np.float32)


@dataclass
class GatedEncoder:
    """Embeds an image of one value as that value; works only while its gate is open."""

    spec: EncoderSpec = SPEC
    device: str = "cpu"
    fingerprint: str = "gated-000000000000"
    gate: threading.Event = field(default_factory=threading.Event)
    entered: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))
    batches: list[list[int | str]] = field(default_factory=list)
    threads: set[int] = field(default_factory=set)
    failures: dict[int, BaseException] = field(default_factory=dict)

    def encode_images(self, pixels: Tensor) -> Embeddings:
        values = [int(value) for value in pixels[:, 0, 0, 0]]
        self._work(values)
        for value in values:
            if value in self.failures:
                raise self.failures[value]
        return rows_of(*values)

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        self._work(texts)
        return rows_of(*map(len, texts))

    def _work(self, inputs: Sequence[int | str]) -> None:
        self.batches.append(list(inputs))
        self.threads.add(threading.get_ident())
        self.entered.release()
        assert self.gate.wait(LIMIT_S)


@pytest.fixture
def encoder() -> GatedEncoder:
    return GatedEncoder()


@pytest.fixture
def batcher(encoder: GatedEncoder) -> Iterator[DynamicBatcher]:
    batcher = DynamicBatcher(encoder, max_batch_size=4)
    yield batcher
    encoder.gate.set()
    batcher.close()


@pytest.fixture
def callers() -> Iterator[ThreadPoolExecutor]:
    with ThreadPoolExecutor(32) as pool:
        yield pool


class Asking:
    """Callers in threads of their own; each call returns once its inputs are queued."""

    def __init__(self, batcher: DynamicBatcher, encoder: GatedEncoder, pool: ThreadPoolExecutor) -> None:
        self._batcher, self._encoder, self._pool = batcher, encoder, pool

    def occupy(self) -> "Future[Embeddings]":
        """Put an image of value 0 into the encoder's hands, and keep it there."""
        future = self._pool.submit(self._batcher.embed_images, [image(0)])
        assert self._encoder.entered.acquire(timeout=LIMIT_S)
        return future

    def occupy_both(self) -> "Future[Embeddings]":
        """Put an image of value 0 and a full batch of them into its hands: nothing more is in flight."""
        first = self.occupy()
        self._pool.submit(self._batcher.embed_images, [image(0)] * 4)
        assert self._encoder.entered.acquire(timeout=LIMIT_S)
        return first

    def images(self, *values: int, urgent: bool = False) -> "Future[Embeddings]":
        before = self._queued()
        future = self._pool.submit(self._batcher.embed_images, [image(v) for v in values], urgent=urgent)
        wait_until(lambda: self._queued() == before + len(values))
        return future

    def texts(self, *texts: str) -> "Future[Embeddings]":
        before = self._queued()
        future = self._pool.submit(self._batcher.embed_texts, texts)
        wait_until(lambda: self._queued() == before + len(texts))
        return future

    def _queued(self) -> int:
        return len(self._batcher._backlog)


@pytest.fixture
def ask(batcher: DynamicBatcher, encoder: GatedEncoder, callers: ThreadPoolExecutor) -> Asking:
    return Asking(batcher, encoder, callers)


def wait_until(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + LIMIT_S
    while not condition():
        assert time.monotonic() < deadline, "it never came to that"
        time.sleep(0.001)


def ordinary(batcher: DynamicBatcher) -> int:
    return len(batcher._backlog._queues["ordinary"])


def answer(future: "Future[Embeddings]") -> NDArray[np.float32]:
    return future.result(LIMIT_S)


def test_an_idle_encoder_is_asked_at_once(batcher: DynamicBatcher, encoder: GatedEncoder) -> None:
    encoder.gate.set()
    rows = batcher.embed_images([image(7)])
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, rows_of(7))
    assert encoder.batches == [[7]]


def test_what_queued_while_it_worked_becomes_one_batch(ask: Asking, encoder: GatedEncoder) -> None:
    first = ask.occupy()
    futures = [ask.images(1), ask.images(2, 3)]
    encoder.gate.set()
    np.testing.assert_array_equal(answer(first), rows_of(0))
    np.testing.assert_array_equal(answer(futures[0]), rows_of(1))
    np.testing.assert_array_equal(answer(futures[1]), rows_of(2, 3))
    assert encoder.batches == [[0], [1, 2, 3]]


def test_a_second_batch_is_in_flight_once_it_is_full_and_never_a_third(
    batcher: DynamicBatcher, ask: Asking, callers: ThreadPoolExecutor, encoder: GatedEncoder
) -> None:
    ask.occupy()
    few = ask.images(1, 2, 3)
    assert not encoder.entered.acquire(timeout=0.05)
    more = callers.submit(batcher.embed_images, [image(4)])
    assert encoder.entered.acquire(timeout=LIMIT_S)
    rest = ask.images(5, 6, 7, 8, 9)
    assert not encoder.entered.acquire(timeout=0.05)
    assert encoder.batches == [[0], [1, 4, 2, 3]]
    encoder.gate.set()
    np.testing.assert_array_equal(answer(few), rows_of(1, 2, 3))
    np.testing.assert_array_equal(answer(more), rows_of(4))
    np.testing.assert_array_equal(answer(rest), rows_of(5, 6, 7, 8, 9))


def test_callers_of_one_priority_are_served_in_turn(ask: Asking, encoder: GatedEncoder) -> None:
    ask.occupy_both()
    greedy, modest = ask.images(*range(1, 10)), ask.images(21, 22)
    encoder.gate.set()
    answer(greedy)
    answer(modest)
    assert [1, 21, 2, 22] in encoder.batches


def test_a_greedy_caller_keeps_nobody_out(
    batcher: DynamicBatcher, ask: Asking, callers: ThreadPoolExecutor, encoder: GatedEncoder
) -> None:
    ask.occupy_both()
    greedy = callers.submit(batcher.embed_images, [image(1)] * 40)
    wait_until(lambda: ordinary(batcher) == 16)
    modest = ask.images(2)
    assert ordinary(batcher) == 17
    encoder.gate.set()
    answer(modest)
    answer(greedy)
    assert next(batch for batch in encoder.batches if 2 in batch) == [1, 2, 1, 1]


def test_a_submitted_image_is_answered_by_a_future(batcher: DynamicBatcher, encoder: GatedEncoder) -> None:
    encoder.gate.set()
    encoder.failures[2] = ValueError("poison")
    good, bad = (batcher.submit(image(value), caller="c") for value in (1, 2))
    np.testing.assert_array_equal(good.result(LIMIT_S), rows_of(1)[0])
    with pytest.raises(ValueError, match="poison"):
        bad.result(LIMIT_S)
    with pytest.raises(ValueError, match=r"\(3, 2, 4\)"):
        batcher.submit(torch.zeros((3, 2, 4), dtype=torch.uint8), caller="c")


def test_a_batch_is_never_larger_than_its_limit(batcher: DynamicBatcher, encoder: GatedEncoder) -> None:
    encoder.gate.set()
    rows = batcher.embed_images([image(value) for value in range(40)])
    np.testing.assert_array_equal(rows, rows_of(*range(40)))
    assert max(map(len, encoder.batches)) == 4


def test_urgent_images_go_first_and_the_rest_of_the_batch_is_filled(
    ask: Asking, encoder: GatedEncoder
) -> None:
    ask.occupy_both()
    ordinary = ask.images(1, 2, 3, 4, 5)
    urgent = ask.images(6, 7, urgent=True)
    encoder.gate.set()
    np.testing.assert_array_equal(answer(urgent), rows_of(6, 7))
    np.testing.assert_array_equal(answer(ordinary), rows_of(1, 2, 3, 4, 5))
    assert encoder.batches[2:] == [[6, 7, 1, 2], [3, 4, 5]]


def test_texts_are_urgent_and_never_in_a_batch_with_images(ask: Asking, encoder: GatedEncoder) -> None:
    ask.occupy()
    images, texts = ask.images(1), ask.texts("a boot", "a hat")
    encoder.gate.set()
    np.testing.assert_array_equal(answer(texts), rows_of(6, 5))
    np.testing.assert_array_equal(answer(images), rows_of(1))
    assert encoder.batches == [[0], ["a boot", "a hat"], [1]]


def test_urgent_images_behind_an_urgent_text_go_before_ordinary_ones(
    ask: Asking, encoder: GatedEncoder
) -> None:
    ask.occupy_both()
    ordinary = ask.images(1, 2, 3)
    urgent, text, behind = ask.images(6, urgent=True), ask.texts("a boot"), ask.images(7, urgent=True)
    encoder.gate.set()
    for future in (ordinary, urgent, text, behind):
        answer(future)
    assert [6, 7, 1, 2] in encoder.batches


def test_room_that_was_given_up_is_told_to_whoever_waits_for_it(
    batcher: DynamicBatcher,
    ask: Asking,
    callers: ThreadPoolExecutor,
    encoder: GatedEncoder,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("recommender.encoders.batcher._LOOK_S", 3 * LIMIT_S)
    ask.occupy_both()
    queued = [batcher.submit(image(1), caller="c") for _ in range(16)]
    waiting = callers.submit(batcher.submit, image(2), caller="c")
    wait_until(lambda: bool(batcher._room._waiters))  # type: ignore[attr-defined]
    assert all(future.cancel() for future in queued)
    encoder.gate.set()
    np.testing.assert_array_equal(waiting.result(LIMIT_S).result(LIMIT_S), rows_of(2)[0])


def test_a_failing_image_fails_its_own_caller_alone(ask: Asking, encoder: GatedEncoder) -> None:
    encoder.failures[2] = ValueError("poison")
    ask.occupy()
    good, bad, other = ask.images(1), ask.images(2), ask.images(3)
    encoder.gate.set()
    with pytest.raises(ValueError, match="poison"):
        answer(bad)
    np.testing.assert_array_equal(answer(good), rows_of(1))
    np.testing.assert_array_equal(answer(other), rows_of(3))
    assert encoder.batches == [[0], [1, 2, 3], [1], [2], [3]]


def test_the_rest_of_a_failed_call_is_not_embedded(
    batcher: DynamicBatcher, ask: Asking, encoder: GatedEncoder
) -> None:
    encoder.failures[1] = ValueError("poison")
    ask.occupy_both()
    bad = ask.images(1, 2, 3, 4, 5, 6)
    encoder.gate.set()
    with pytest.raises(ValueError, match="poison"):
        answer(bad)
    np.testing.assert_array_equal(batcher.embed_images([image(9)]), rows_of(9))
    assert [1, 2, 3, 4] in encoder.batches
    assert {value for batch in encoder.batches for value in batch} == {0, 1, 2, 3, 4, 9}
    assert encoder.batches.count([1]) == 1
    assert [2] not in encoder.batches


def test_a_wrong_number_of_rows_is_an_error_of_its_callers(
    batcher: DynamicBatcher, encoder: GatedEncoder, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(encoder, "encode_images", lambda _: rows_of(1, 2, 3))
    with pytest.raises(ValueError, match="answered"):
        batcher.embed_images([image(1)])
    assert batcher.is_alive


def test_callers_wait_for_room_and_the_urgent_do_not_wait_for_them(
    batcher: DynamicBatcher, ask: Asking, callers: ThreadPoolExecutor, encoder: GatedEncoder
) -> None:
    ask.occupy_both()
    values = range(1, 51)
    greedy = callers.submit(batcher.embed_images, [image(value) for value in values])
    wait_until(lambda: ordinary(batcher) == 16)  # four batches
    urgent = ask.images(99, urgent=True)
    assert ordinary(batcher) == 16
    encoder.gate.set()
    np.testing.assert_array_equal(answer(urgent), rows_of(99))
    np.testing.assert_array_equal(answer(greedy), rows_of(*values))


def test_close_answers_what_is_in_hand_and_refuses_the_rest(
    batcher: DynamicBatcher, ask: Asking, callers: ThreadPoolExecutor, encoder: GatedEncoder
) -> None:
    in_hand = ask.occupy_both()
    queued = [ask.images(1), ask.images(2, urgent=True), ask.texts("a boot")]
    blocked = callers.submit(batcher.embed_images, [image(value) for value in range(40)])
    wait_until(lambda: ordinary(batcher) == 16)
    closing = callers.submit(batcher.close)
    for future in (*queued, blocked):
        with pytest.raises(ShuttingDown):
            answer(future)
    encoder.gate.set()
    np.testing.assert_array_equal(answer(in_hand), rows_of(0))
    closing.result(LIMIT_S)
    batcher.close()
    assert not batcher.is_alive
    with pytest.raises(ShuttingDown):
        batcher.embed_images([image(1)])
    assert encoder.batches == [[0], [0, 0, 0, 0]]


@pytest.mark.parametrize(
    "death",
    [
        SystemExit("out"),
        KeyboardInterrupt(),
        torch.AcceleratorError("CUDA error: device-side assert triggered"),
    ],
    ids=["SystemExit", "KeyboardInterrupt", "AcceleratorError"],
)
def test_the_threads_death_reaches_every_waiter_and_later_callers(
    death: BaseException,
    batcher: DynamicBatcher,
    ask: Asking,
    callers: ThreadPoolExecutor,
    encoder: GatedEncoder,
) -> None:
    encoder.failures[0] = death
    in_hand = ask.occupy_both()
    futures = [in_hand, ask.images(1), ask.images(2, urgent=True), ask.texts("a boot")]
    futures.append(callers.submit(batcher.embed_images, [image(value) for value in range(40)]))
    wait_until(lambda: ordinary(batcher) == 16)
    encoder.gate.set()
    for future in futures:
        with pytest.raises(EncoderLost, match=type(death).__name__) as raised:
            answer(future)
        assert raised.value.__cause__ is death
    assert not batcher.is_alive
    with pytest.raises(EncoderLost, match="restart this process"):
        batcher.embed_images([image(1)])
    assert encoder.batches == [[0], [0, 0, 0, 0]]


@dataclass
class SmallEncoder(GatedEncoder):
    """Has memory for so many images at a time."""

    room: int = 3

    def encode_images(self, pixels: Tensor) -> Embeddings:
        rows = super().encode_images(pixels)
        if len(pixels) > self.room:
            raise torch.OutOfMemoryError("CUDA out of memory")
        return rows


def test_a_batch_that_the_device_has_no_memory_for_is_halved_and_so_are_those_after_it() -> None:
    encoder = SmallEncoder()
    encoder.gate.set()
    batcher = DynamicBatcher(encoder, max_batch_size=8)
    rows = batcher.embed_images([image(value) for value in range(8)])
    np.testing.assert_array_equal(rows, rows_of(*range(8)))
    sizes = [len(batch) for batch in encoder.batches]
    assert max(sizes) > 3
    assert sum(size for size in sizes if size <= 3) == 8
    encoder.batches.clear()
    np.testing.assert_array_equal(batcher.embed_images([image(5)] * 9), rows_of(*[5] * 9))
    assert max(len(batch) for batch in encoder.batches) <= 3
    batcher.close()


def test_an_image_that_the_device_has_no_memory_for_at_all_may_come_again() -> None:
    encoder = SmallEncoder(room=0)
    encoder.gate.set()
    batcher = DynamicBatcher(encoder, max_batch_size=4)
    with pytest.raises(TransientError, match="no memory for one input"):
        batcher.embed_images([image(1), image(2)])
    encoder.room = 1
    np.testing.assert_array_equal(batcher.embed_images([image(1)]), rows_of(1))
    batcher.close()


def test_an_encoder_that_hangs_is_given_up_on(encoder: GatedEncoder, callers: ThreadPoolExecutor) -> None:
    batcher = DynamicBatcher(encoder, max_batch_size=4, stall_s=0.01)
    futures = [callers.submit(batcher.embed_images, [image(value)]) for value in (1, 2)]
    for future in futures:
        with pytest.raises(EncoderLost, match="answered nothing"):
            answer(future)
    assert not batcher.is_alive
    encoder.gate.set()
    batcher.close()


def test_images_that_do_not_fit_the_encoder_are_refused_before_they_queue(
    batcher: DynamicBatcher, encoder: GatedEncoder
) -> None:
    encoder.gate.set()
    with pytest.raises(ValueError, match=r"image 1 is \(3, 2, 4\) torch.uint8, not \(3, 2, 2\)"):
        batcher.embed_images([image(1), torch.zeros((3, 2, 4), dtype=torch.uint8)])
    with pytest.raises(ValueError, match="float32"):
        batcher.embed_images([image(1).float()])
    assert encoder.batches == []


def test_no_images_give_no_rows(batcher: DynamicBatcher, encoder: GatedEncoder) -> None:
    assert batcher.embed_images([]).shape == (0, DIMENSION)
    assert batcher.embed_texts([]).shape == (0, DIMENSION)
    assert encoder.batches == []


def test_every_caller_of_many_gets_its_own_rows(
    batcher: DynamicBatcher, encoder: GatedEncoder, callers: ThreadPoolExecutor
) -> None:
    encoder.gate.set()
    encoder.failures[255] = ValueError("poison")

    def call(seed: int) -> None:
        rng = np.random.default_rng(seed)
        for _ in range(30):
            values = rng.integers(0, 200, rng.integers(1, 12)).tolist()
            rows = batcher.embed_images([image(v) for v in values], urgent=bool(rng.random() < 0.3))
            np.testing.assert_array_equal(rows, rows_of(*values))
            if rng.random() < 0.2:
                with pytest.raises(ValueError, match="poison"):
                    batcher.embed_images([image(1), image(255)])

    for future in [callers.submit(call, seed) for seed in range(16)]:
        future.result(LIMIT_S)
    assert max(map(len, encoder.batches)) == 4
    assert len(encoder.threads) == 2


def test_metrics_count_batches_time_and_depth(ask: Asking, encoder: GatedEncoder) -> None:
    def sample(name: str, **labels: str) -> float:
        return METRICS.get_sample_value(f"lookalike_encode_{name}", labels) or 0.0

    batches, images = sample("batch_size_count", kind="image"), sample("batch_size_sum", kind="image")
    calls = sample("seconds_count", kind="image")
    ask.occupy()
    future = ask.images(1, 2, 3)
    assert sample("queue_depth", priority="ordinary") == 3
    encoder.gate.set()
    answer(future)
    assert sample("queue_depth", priority="ordinary") == 0
    assert sample("batch_size_count", kind="image") == batches + 2
    assert sample("batch_size_sum", kind="image") == images + 4
    assert sample("seconds_count", kind="image") == calls + 2
