"""The pipeline on the real index, S3 over HTTP and a real encoder of random weights."""

from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from threading import Event as ThreadingEvent
from typing import Any

import numpy as np
import pytest

from recommender.encoders.batcher import DynamicBatcher
from recommender.encoders.compact.model import DIMENSION
from recommender.errors import (
    EncoderLost,
    ImageNotFound,
    ImageStoreUnavailable,
    IndexUnavailable,
    TransientError,
)
from recommender.events import parse_product_event
from recommender.images.source import ImageSource
from recommender.resources import open_resources
from worker.breaker import FAILURES_IN_A_ROW, Breakers
from worker.embedding import Embedded, Looked
from worker.pipeline import Pipeline
from worker.plan import Embed, ImageKey
from worker.report import Report


@pytest.fixture
def resources(make_settings: Any, s3: Any, weights: Path) -> Iterator[Any]:
    settings = make_settings(
        encoder={"weights": str(weights), "threads": 1},
        s3={"endpoint_url": s3.endpoint_url, "buckets": (s3.bucket,)},
    )
    with open_resources(settings) as opened:
        yield opened


@pytest.fixture
def pipeline(resources: Any, make_settings: Any) -> Iterator[Any]:
    with Pipeline(resources.index, resources.batcher, resources.source, make_settings()) as opened:
        yield opened


@pytest.fixture
def upsert(document: Callable[..., dict[str, Any]]) -> Any:
    def make(identity: str, *images: Any, **fields: Any) -> Any:
        return parse_product_event("products.upsert", document(identity, *images, **fields))

    return make


def patch(identity: str, version: int, **fields: Any) -> Any:
    return parse_product_event("products.patch", {"id": identity, "version": version, **fields})


def delete(identity: str, version: int) -> Any:
    return parse_product_event("products.delete", {"id": identity, "version": version})


def test_rows_are_those_of_the_images_in_order(
    pipeline: Pipeline, resources: Any, upsert: Any, s3: Any, photo: Callable[[int], bytes]
) -> None:
    front, back = (s3.put(f"{n}.jpg", photo(n)) for n in range(2))
    report = pipeline.apply([upsert("a", front, back), upsert("b", back), upsert("c", back, front)])
    assert len(report.applied) == 3
    assert report.embedded == 2  # shared images are fetched and embedded once
    stored = resources.index.read(["a", "b", "c"], vectors=True)
    assert [image.uri for image in stored["a"].images] == [front, back]
    assert [image.row for image in stored["a"].images] == [0, 1]
    assert all(image.etag for image in stored["a"].images)
    np.testing.assert_allclose(stored["c"].vectors, stored["a"].vectors[::-1], atol=1e-6)
    np.testing.assert_allclose(stored["b"].vectors, stored["a"].vectors[1:], atol=1e-6)


def test_only_what_changed_is_embedded_again(
    pipeline: Pipeline, resources: Any, upsert: Any, s3: Any, photo: Callable[[int], bytes]
) -> None:
    front, back = (s3.put(f"{n}.jpg", photo(n)) for n in range(2))
    pipeline.apply([upsert("a", front, back)])
    before = resources.index.read(["a"], vectors=True)["a"].vectors

    report = pipeline.apply([upsert("a", front, back, version=2, title="new")])
    assert (report.images, report.embedded) == (2, 0)

    assert pipeline.apply([upsert("a", back, front, version=3)]).embedded == 0
    swapped = resources.index.read(["a"], vectors=True)["a"]
    assert [(image.uri, image.row) for image in swapped.images] == [(back, 1), (front, 0)]

    s3.put("1.jpg", photo(5))
    assert pipeline.apply([upsert("a", front, back, version=4)]).embedded == 1
    after = resources.index.read(["a"], vectors=True)["a"].vectors
    np.testing.assert_allclose(after[0], before[0], atol=1e-6)
    assert not np.allclose(after[1], before[1], atol=1e-3)

    assert pipeline.apply([upsert("a", back, version=5)]).embedded == 0
    alone = resources.index.read(["a"], vectors=True)["a"]
    np.testing.assert_allclose(alone.vectors, after[1:], atol=1e-6)
    assert [(image.uri, image.row) for image in alone.images] == [(back, 0)]


def test_images_are_looked_at_again_for_what_has_changed_alone(
    pipeline: Pipeline, resources: Any, upsert: Any, s3: Any, photo: Callable[[int], bytes]
) -> None:
    front, back, late = (f"s3://{s3.bucket}/{n}.jpg" for n in range(3))
    s3.put("0.jpg", photo(0))
    s3.put("1.jpg", photo(1))
    pipeline.apply([upsert("a", front, back, late)])
    before = resources.index.read(["a"], vectors=True)["a"]
    look = Embed(id="a", only_changed=True)
    assert (report := pipeline.apply([look])).embedded == 0
    assert (report.images, len(report.failed)) == (3, 1)

    s3.put("1.jpg", photo(5))
    s3.put("2.jpg", photo(6))
    report = pipeline.apply([look])
    assert (report.embedded, report.failed) == (2, [])
    after = resources.index.read(["a"], vectors=True)["a"]
    assert [image.row for image in after.images] == [0, 1, 2]
    np.testing.assert_allclose(after.vectors[0], before.vectors[0], atol=1e-6)
    assert not np.allclose(after.vectors[1], before.vectors[1], atol=1e-3)
    assert after.state == before.state

    s3.client.delete_object(Bucket=s3.bucket, Key="1.jpg")
    report = pipeline.apply([look, Embed(id="unknown", only_changed=True)])
    assert ([failure.image for failure in report.failed], len(report.stale)) == ([back], 1)
    assert len(resources.index.read(["a"], vectors=True)["a"].vectors) == 2


def test_patches_and_deletes_touch_no_image(
    pipeline: Pipeline, resources: Any, upsert: Any, s3: Any, photo: Callable[[int], bytes]
) -> None:
    uri = s3.put("a.jpg", photo(1))
    pipeline.apply([upsert("a", uri), upsert("b", uri)])
    report = pipeline.apply([patch("a", 2, price=5.0), delete("b", 2), patch("stub", 2, title="t")])
    assert (len(report.applied), report.images, report.took_s.keys()) == (3, 0, {"plan", "write"})
    stored = resources.index.read(["a", "b", "stub"], vectors=True)
    assert stored["a"].state.product.price == 5.0
    assert len(stored["a"].vectors) == 1
    assert stored["b"].state.deleted
    assert len(stored["b"].vectors) == 0
    assert stored["stub"].state.product is None
    pipeline.apply([upsert("stub", uri)])
    assert resources.index.read(["stub"])["stub"].state.product.title == "t"


def test_events_of_one_product_in_one_batch_fold_in_order(
    pipeline: Pipeline, resources: Any, upsert: Any, s3: Any, photo: Callable[[int], bytes]
) -> None:
    uri = s3.put("a.jpg", photo(1))
    events = [upsert("a", uri, version=1), patch("a", 2, price=1.0), patch("a", 3, price=2.0)]
    report = pipeline.apply([*events, upsert("a", uri, version=0), delete("gone", 2), upsert("gone", uri)])
    assert resources.index.read(["a"])["a"].state.product.price == 2.0
    assert resources.index.read(["gone"])["gone"].state.deleted
    assert [event.version for event in report.stale] == [0, 1]
    repeated = pipeline.apply([events[2]])
    assert (repeated.applied, repeated.unchanged) == ([], [events[2]])


def test_an_image_that_fails_for_good_costs_only_itself(
    pipeline: Pipeline, resources: Any, upsert: Any, s3: Any, photo: Callable[[int], bytes]
) -> None:
    good, bad, text = s3.put("a.jpg", photo(1)), f"s3://{s3.bucket}/none.jpg", s3.put("b.jpg", b"text")
    event = upsert("a", bad, good, text, title="t")
    report = pipeline.apply([event, upsert("none", bad)])
    assert len(report.applied) == 2
    assert [(failure.event.id, failure.image) for failure in report.failed] == [
        ("a", bad),
        ("a", text),
        ("none", bad),
    ]
    assert isinstance(report.failed[0].error, ImageNotFound)
    stored = resources.index.read(["a", "none"], vectors=True)
    assert [image.row for image in stored["a"].images] == [None, 0, None]
    assert bad in stored["a"].images[0].error
    assert stored["a"].state.product.title == "t"
    assert len(stored["none"].vectors) == 0

    again = pipeline.apply([event])
    assert (again.applied, again.unchanged, again.embedded) == ([], [event], 0)
    assert [failure.image for failure in again.failed] == [bad, text]
    same = resources.index.read(["a"], vectors=True)["a"]
    assert same.images == stored["a"].images
    np.testing.assert_array_equal(same.vectors, stored["a"].vectors)

    s3.put("none.jpg", photo(2))
    s3.put("b.jpg", photo(3))
    healed = pipeline.apply([event])
    assert (healed.unchanged, healed.failed, healed.embedded) == ([event], [], 2)
    after = resources.index.read(["a"], vectors=True)["a"]
    assert [image.row for image in after.images] == [0, 1, 2]
    np.testing.assert_allclose(after.vectors[1], stored["a"].vectors[0], atol=1e-6)
    assert pipeline.apply([event]).images == 0


def test_a_passing_failure_writes_nothing_and_comes_again(
    resources: Any, upsert: Any, s3: Any, photo: Callable[[int], bytes], make_settings: Any, free_port: int
) -> None:
    away = make_settings(s3={"endpoint_url": f"http://127.0.0.1:{free_port}", "buckets": (s3.bucket,)})
    source = ImageSource(away.s3, away.images)
    with Pipeline(resources.index, resources.batcher, source, away) as pipeline:
        event = upsert("a", s3.put("a.jpg", photo(1)))
        report = pipeline.apply([event, delete("b", 1)])
    source.close()
    assert [retry.event for retry in report.retry] == [event]
    assert isinstance(report.retry[0].error, ImageStoreUnavailable)
    assert [each.id for each in report.applied] == ["b"]
    assert resources.index.read(["a", "b"]).keys() == {"b"}


def test_concurrent_writers_of_one_product_lose_nothing(
    pipeline: Pipeline, resources: Any, upsert: Any, s3: Any, photo: Callable[[int], bytes]
) -> None:
    uri = s3.put("a.jpg", photo(1))
    pipeline.apply([upsert("a", uri)])
    events = [patch("a", 2 + n, attributes={f"k{n}": n}) for n in range(40)]
    with ThreadPoolExecutor(8) as threads:
        reports = list(threads.map(lambda event: pipeline.apply([event]), events))
    left = [retry.event for report in reports for retry in report.retry]
    while left:  # as the queue would bring them again
        left = [retry.event for retry in pipeline.apply(left).retry]
    stored = resources.index.read(["a"], vectors=True)["a"]
    assert stored.state.product.attributes == {f"k{n}": n for n in range(40)}
    assert len(stored.vectors) == 1


def test_embedding_again_fetches_everything_and_takes_nothing_away(
    pipeline: Pipeline, resources: Any, upsert: Any, s3: Any, photo: Callable[[int], bytes]
) -> None:
    front, back = (s3.put(f"{n}.jpg", photo(n)) for n in range(2))
    pipeline.apply([upsert("a", front, back), upsert("b", front), delete("dead", 1)])
    before = resources.index.read(["a"], vectors=True)["a"]
    s3.client.delete_object(Bucket=s3.bucket, Key="0.jpg")
    s3.put("1.jpg", photo(9))
    report = pipeline.apply([Embed(id="a"), Embed(id="unknown"), Embed(id="dead")])
    assert [event.id for event in report.applied] == ["a"]
    assert [event.id for event in report.stale] == ["unknown", "dead"]
    assert [failure.image for failure in report.failed] == [front]
    after = resources.index.read(["a"], vectors=True)["a"]
    assert after.state == before.state
    np.testing.assert_allclose(after.vectors[0], before.vectors[0], atol=1e-6)
    assert not np.allclose(after.vectors[1], before.vectors[1], atol=1e-3)
    assert after.images[0].error is not None


def test_what_is_left_when_time_is_up_is_begun_by_nobody(
    make_settings: Any, resources: Any, upsert: Any, s3: Any, photo: Callable[[int], bytes]
) -> None:
    uris = [s3.put(f"{n}.jpg", photo(n)) for n in range(3)]
    answers = iter([True, False])
    small = make_settings(encoder={"max_batch_size": 1})
    with Pipeline(resources.index, resources.batcher, resources.source, small) as slow:
        events = [upsert(str(n), uris[n % 3]) for n in range(9)]
        report = slow.apply(events, may_go_on=lambda: next(answers))
    assert [event.id for event in report.applied] == list("0123")
    assert [event.id for event in report.rest] == list("45678")
    assert resources.index.read([event.id for event in report.rest]) == {}


def test_only_the_dependency_that_fails_has_its_breaker_opened(
    make_settings: Any, resources: Any, upsert: Any, s3: Any
) -> None:
    settings = make_settings(s3={"endpoint_url": "http://127.0.0.1:1", "buckets": (s3.bucket,)})
    source = ImageSource(settings.s3, settings.images)
    breakers = Breakers()
    uris = [f"s3://{s3.bucket}/{n}.jpg" for n in range(FAILURES_IN_A_ROW)]
    with Pipeline(resources.index, resources.batcher, source, settings, breakers) as pipeline:
        report = pipeline.apply([upsert("a", *uris)])
        assert len(report.retry) == 1
        assert (breakers.images.lets_through, breakers.index.lets_through) == (False, True)
        pipeline.apply([patch("b", 1, title="no image")])
        assert not breakers.images.lets_through
    source.close()


def test_an_event_that_many_messages_repeat_at_once_costs_one_fetch(
    pipeline: Pipeline, upsert: Any, s3: Any, photo: Callable[[int], bytes]
) -> None:
    events = [upsert(str(n), s3.put(f"{n}.jpg", photo(n))) for n in range(8)]
    together = Barrier(6)

    def apply(_: int) -> Report:
        together.wait()
        return pipeline.apply(events)

    with ThreadPoolExecutor(6) as threads:
        reports = list(threads.map(apply, range(6)))
    assert sum(report.images for report in reports) == 8
    assert sum(len(report.applied) for report in reports) == 8
    assert sum(len(report.unchanged) for report in reports) == 40


class Stage:
    """Embeds when it is told to; says what was begun."""

    def __init__(self) -> None:
        self.begun: list[str] = []
        self.answers: dict[str, Future[Looked]] = {}
        self.lost: Exception | None = None

    def embed(self, key: ImageKey, *_: Any) -> "Future[Looked]":
        self.begun.append(key.uri)
        self.answers[key.uri] = Future()
        return self.answers[key.uri]

    def answer(self, *events: Any) -> None:
        row = np.eye(1, DIMENSION, dtype=np.float32)[0]
        for event in events:
            for image in event.images:
                self.answers[image.uri].set_result(Looked(Embedded(row, None)))

    def check_alive(self) -> None:
        if self.lost:
            raise self.lost

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_: object) -> None:
        self.lost = EncoderLost("the test is over")  # nobody waits for what it has not answered


def test_the_next_slice_is_on_its_way_while_one_is_waited_for(
    make_settings: Any, resources: Any, upsert: Any, wait_for: Any
) -> None:
    small = make_settings(encoder={"max_batch_size": 1})
    events = [upsert(str(n), f"s3://bucket/{n}.jpg") for n in range(6)]
    stage = Stage()
    with (
        Pipeline(resources.index, resources.batcher, resources.source, small) as slow,
        ThreadPoolExecutor(1) as thread,
    ):
        applying = thread.submit(slow.apply, events, images=stage)
        wait_for("two slices of two images", lambda: len(stage.begun) == 4)
        stage.answer(*events[:2])
        wait_for("the third, once the first is written", lambda: len(stage.begun) == 6)
        assert resources.index.read([str(n) for n in range(6)]).keys() == {"0", "1"}
        stage.answer(*events[2:])
        assert len(applying.result(20).applied) == 6


def test_a_shutdown_waits_only_for_products_whose_images_are_being_looked_at(
    make_settings: Any, resources: Any, upsert: Any, wait_for: Any
) -> None:
    small = make_settings(encoder={"max_batch_size": 2})
    events = [upsert(str(n), f"s3://bucket/{n}-0.jpg", f"s3://bucket/{n}-1.jpg") for n in range(5)]
    stage, ends = Stage(), ThreadingEvent()
    with (
        Pipeline(resources.index, resources.batcher, resources.source, small) as slow,
        ThreadPoolExecutor(1) as thread,
        stage,
    ):
        applying = thread.submit(
            slow.apply, events, images=stage, may_go_on=lambda: not ends.is_set(), must_end=ends.is_set
        )
        wait_for("two slices of two products", lambda: len(stage.begun) == 8)
        for image in events[0].images[:2] + events[2].images[:1]:
            assert stage.answers[image.uri].set_running_or_notify_cancel()
        ends.set()
        given_up = stage.answers[events[3].images[0].uri]
        wait_for("what was not begun is given up", given_up.cancelled)
        assert not applying.done()
        stage.answer(events[0], events[2])
        report = applying.result(20)
    assert [event.id for event in report.applied] == ["0", "2"]
    assert sorted(event.id for event in report.rest) == ["1", "3", "4"]
    assert resources.index.read(list("01234")).keys() == {"0", "2"}


def test_an_encoder_that_is_lost_is_noticed_while_it_is_waited_for(pipeline: Pipeline, upsert: Any) -> None:
    stage = Stage()
    stage.lost = EncoderLost("gone")
    with pytest.raises(EncoderLost, match="gone"):
        pipeline.apply([upsert("a", "s3://bucket/a.jpg")], images=stage)
    stage.lost = TransientError("away")
    with pytest.raises(TransientError, match="away"):  # the turn of the product was given back
        pipeline.apply([upsert("a", "s3://bucket/a.jpg")], images=stage)


def test_whoever_waits_for_a_product_asks_the_index_nothing(
    make_settings: Any, resources: Any, upsert: Any, wait_for: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.pipeline.WAIT_S", 0.01)
    event, stage, breakers = upsert("a", "s3://bucket/a.jpg"), Stage(), Breakers()
    reads: list[None] = []
    read = resources.index.read
    monkeypatch.setattr(resources.index, "read", lambda *a, **k: reads.append(None) or read(*a, **k))
    looks: list[None] = []
    signs: list[None] = []
    with (
        Pipeline(resources.index, resources.batcher, resources.source, make_settings(), breakers) as pipeline,
        ThreadPoolExecutor(2) as threads,
        stage,
    ):
        first = threads.submit(pipeline.apply, [event], images=stage)
        wait_for("the first has it in hand", lambda: stage.begun)
        for _ in range(FAILURES_IN_A_ROW - 1):
            breakers.index.failed(IndexUnavailable("away"))
        second = threads.submit(
            pipeline.apply,
            [event],
            images=stage,
            may_go_on=lambda: looks.append(None) or True,
            progress=lambda: signs.append(None),
        )
        wait_for("the second has looked again", lambda: len(looks) > 2)
        assert len(reads) == 1
        assert signs  # the watchdog is to look at the first
        breakers.index.failed(IndexUnavailable("away"))
        assert not breakers.index.lets_through
        stage.answer(event)
        assert len(first.result(20).applied) == len(second.result(20).unchanged) == 1


class Gated:
    """The encoder, which works only while its gate is open; says how large its batches were."""

    def __init__(self, encoder: Any) -> None:
        self.spec, self.device, self.fingerprint = encoder.spec, encoder.device, encoder.fingerprint
        self._encoder = encoder
        self.gate = ThreadingEvent()
        self.sizes: list[int] = []

    def encode_images(self, pixels: Any) -> Any:
        self.sizes.append(len(pixels))
        assert self.gate.wait(20)
        return self._encoder.encode_images(pixels)

    def encode_texts(self, texts: Any) -> Any:
        return self._encoder.encode_texts(texts)


def test_messages_of_one_product_share_a_device_batch(
    make_settings: Any, resources: Any, upsert: Any, s3: Any, photo: Callable[[int], bytes], wait_for: Any
) -> None:
    events = [upsert(str(n), s3.put(f"{n}.jpg", photo(n))) for n in range(8)]
    encoder = Gated(resources.encoder)
    batcher = DynamicBatcher(encoder, 32)
    with (
        Pipeline(resources.index, batcher, resources.source, make_settings()) as pipeline,
        ThreadPoolExecutor(8) as threads,
    ):
        first = threads.submit(pipeline.apply, events[:1])
        wait_for("the first image is with the encoder", lambda: encoder.sizes == [1])
        others = [threads.submit(pipeline.apply, [event]) for event in events[1:]]
        wait_for("the others queue", lambda: len(batcher._backlog) == 7)
        encoder.gate.set()
        assert all(len(future.result(20).applied) == 1 for future in [first, *others])
    batcher.close()
    assert encoder.sizes == [1, 7]
