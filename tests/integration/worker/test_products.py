"""A message of product events in quarantine and out of it, on a real Redis, index and encoder."""

import base64
import json
import logging
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
from celery import Celery

from config.settings import EncoderSettings
from recommender.errors import ProcessLost
from recommender.resources import open_resources
from worker.breaker import Breakers
from worker.celery import QUARANTINE
from worker.delivery import deliver
from worker.embedding import Embedded
from worker.pipelines import Pipelines
from worker.plan import ImageKey
from worker.products import apply_products
from worker.publish import DELIVERIES
from worker.report import Report


class Process:
    """Stands in for the process of images in quarantine: one image ends it; see test_isolation.py."""

    def __init__(self, lethal: str) -> None:
        self.lethal = lethal
        self.row: Any = None

    def read(self, key: ImageKey, _by: EncoderSettings, progress: Callable[[], None]) -> Embedded:
        progress()
        if key.uri == self.lethal:
            raise ProcessLost(f"{key.uri}: ended")
        return Embedded(self.row, "etag")


@pytest.fixture
def settings(make_settings: Any, redis_server: Any, s3: Any, weights: Path) -> Any:
    return make_settings(
        redis={"url": redis_server.url},
        encoder={"weights": str(weights), "threads": 1, "max_batch_size": 1},
        s3={"endpoint_url": s3.endpoint_url, "buckets": (s3.bucket,)},
    )


@pytest.fixture
def client(settings: Any) -> Iterator[Any]:
    with redis.Redis.from_url(settings.redis_url, decode_responses=True) as opened:
        yield opened


@pytest.fixture
def runtime(settings: Any, client: Any, open_runtime: Any, s3: Any) -> Iterator[Any]:
    process = Process(f"s3://{s3.bucket}/lethal.jpg")
    with (
        open_resources(settings) as resources,
        open_runtime(
            settings,
            client,
            resources=resources,
            pipelines=Pipelines(resources.source, settings, Breakers()),
            image_process=process,
        ) as opened,
    ):
        process.row = np.eye(1, resources.encoder.spec.dimension, dtype=np.float32)[0]
        yield opened


@pytest.fixture
def run(redis_server: Any, client: Any, runtime: Any) -> Iterator[Any]:
    del runtime
    app = Celery("test", broker=redis_server.url, set_as_current=False)

    @app.task(name="products.upsert", bind=True, shared=False)
    def task(self: Any) -> None:
        """Only its request is used."""

    def go(documents: Any, **headers: Any) -> None:
        properties = {"delivery_tag": f"tag {headers}"}
        client.hset("unacked", properties["delivery_tag"], "...")
        task.push_request(id="1", delivery_info={"routing_key": "products"}, properties=properties, **headers)
        try:
            deliver(task, [documents], {}, apply_products)
        finally:
            task.pop_request()

    yield go
    app.close()


def published(client: Any, queue: str) -> list[tuple[list[str], int]]:
    """(ids of the documents, deliveries) of the messages in a queue."""
    found = []
    for raw in reversed(client.lrange(queue, 0, -1)):
        message = json.loads(raw)
        (documents,), _, _ = json.loads(base64.b64decode(message["body"]))
        found.append(([document["id"] for document in documents], message["headers"][DELIVERIES]))
    return found


def test_one_line_a_message_says_what_became_of_its_products(
    run: Any, document: Any, s3: Any, photo: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO, "worker.products")
    uri = s3.put("a.jpg", photo(1))
    run(
        [
            document("a", uri, trace_id="t-2"),
            document("b", uri, trace_id="t-1"),
            document("old", uri, version=5),
        ]
    )
    run(
        [
            document("a", uri),
            document("old", uri, version=4),
            document("new", uri),
            document("half", uri, f"s3://{s3.bucket}/missing.jpg", "s3://elsewhere/x.jpg"),
            {"id": "bad"},
        ],
        n=2,
    )
    first, second = [r for r in caplog.records if r.message == "message_applied"]
    assert (first.applied, first.images, first.embedded, first.trace_ids) == (3, 1, 1, ["t-1", "t-2"])
    counts = (second.applied, second.unchanged, second.stale, second.failed, second.retry, second.rest)
    assert counts == (2, 1, 1, 2, 0, 0)


def test_in_quarantine_a_lethal_image_costs_only_its_product(
    run: Any, runtime: Any, client: Any, document: Any, s3: Any, photo: Any
) -> None:
    lethal, good = f"s3://{s3.bucket}/lethal.jpg", s3.put("a.jpg", photo(1))
    documents = [document("a", good), document("bad", good, lethal), document("c", good)]
    run(documents, **{DELIVERIES: 1})
    assert set(runtime.resources.index.read(["a", "bad", "c"])) == {"a", "c"}
    assert published(client, QUARANTINE) == [(["bad"], 2)]
    assert runtime.dead_letters.count() == 0

    run([documents[1]], **{DELIVERIES: 4})
    stored = runtime.resources.index.read(["bad"])["bad"]
    assert [image.row for image in stored.images] == [0, None]
    (letter,) = runtime.dead_letters.all()
    assert (letter.reason, letter.image, letter.attempts) == ("ImageLethal", lethal, 5)


def test_what_a_shutdown_leaves_is_published_at_once_without_an_attempt(
    run: Any, runtime: Any, client: Any, document: Any, s3: Any, photo: Any
) -> None:
    uris = [s3.put(f"{n}.jpg", photo(n)) for n in range(5)]
    runtime.watchdog.shut_down()
    run([document(str(n), uri) for n, uri in enumerate(uris)])
    assert published(client, "products") == [(["2", "3", "4"], 0)]
    assert set(runtime.resources.index.read(list("01234"))) == {"0", "1"}


def test_a_shutdown_is_heard_of_while_images_are_waited_for(
    run: Any, runtime: Any, document: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    ends: list[bool] = []

    def apply(_: Any, *, must_end: Callable[[], bool], **__: Any) -> Report:
        ends.append(must_end())
        runtime.watchdog.shut_down()
        ends.append(must_end())
        return Report()

    pair = runtime.resources.serving.current
    monkeypatch.setattr(runtime.pipelines.of(pair), "apply", apply)
    run([document("a", "s3://bucket/a.jpg")])
    assert ends == [False, True]
