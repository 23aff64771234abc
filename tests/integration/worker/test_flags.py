"""Newcomers that duplicate a product are flagged, by the pipeline on the real index."""

import logging
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Barrier
from typing import Any

import httpx
import pytest
from prometheus_client import REGISTRY

from recommender.api.app import create_app
from recommender.api.serve import serve_in_thread
from recommender.catalog import Filter
from recommender.errors import IndexUnavailable
from recommender.events import parse_product_event
from recommender.index.protocol import DuplicateOf
from recommender.resources import open_resources
from worker.pipeline import Pipeline
from worker.plan import Embed


@pytest.fixture
def settings(make_settings: Any, s3: Any, weights: Path) -> Any:
    return make_settings(
        encoder={"weights": str(weights), "threads": 1},
        s3={"endpoint_url": s3.endpoint_url, "buckets": (s3.bucket,)},
        worker={"flag_duplicates": 1},
    )


@pytest.fixture
def resources(settings: Any) -> Iterator[Any]:
    with open_resources(settings) as opened:
        yield opened


@pytest.fixture
def pipeline(resources: Any, settings: Any) -> Iterator[Pipeline]:
    with Pipeline(resources.index, resources.batcher, resources.source, settings) as opened:
        yield opened


@pytest.fixture
def upsert(document: Callable[..., dict[str, Any]]) -> Any:
    def make(identity: str, *images: Any, **fields: Any) -> Any:
        return parse_product_event("products.upsert", document(identity, *images, **fields))

    return make


@pytest.fixture
def photos(s3: Any, photo: Callable[[int], bytes]) -> Callable[..., str]:
    """The URI of a photo; by another name it is the same bytes elsewhere."""

    def put(seed: int, name: str = "") -> str:
        uri: str = s3.put(f"{name}{seed}.jpg", photo(seed))
        return uri

    return put


def flag(resources: Any, identity: str) -> str | None:
    stored: DuplicateOf | None = resources.index.read([identity])[identity].duplicate_of
    return stored.id if stored else None


def found_so_far() -> float:
    return REGISTRY.get_sample_value("lookalike_duplicates_found_total") or 0


def test_a_newcomer_with_a_known_photo_is_flagged_and_told(
    pipeline: Pipeline, resources: Any, upsert: Any, photos: Any, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    before = found_so_far()
    pipeline.apply([upsert("first", photos(1)), upsert("other", photos(2))])
    assert found_so_far() == before
    pipeline.apply([upsert("copy", photos(3), photos(1, "moved/"))])
    assert resources.index.read(["copy"])["copy"].duplicate_of == DuplicateOf("first", 1.0)
    assert (flag(resources, "first"), flag(resources, "other")) == (None, None)
    assert found_so_far() == before + 1
    (told,) = (record for record in caplog.records if record.message == "duplicate_found")
    assert (told.id, told.duplicate_of, told.score) == ("copy", "first", 1.0)  # type: ignore[attr-defined]


def test_copies_in_one_message_are_flagged_but_for_the_first(
    pipeline: Pipeline, resources: Any, upsert: Any, photos: Any
) -> None:
    pipeline.apply(
        [upsert("a", photos(1)), upsert("b", photos(2)), upsert("c", photos(1)), upsert("d", photos(1))]
    )
    assert [flag(resources, identity) for identity in "abcd"] == [None, None, "a", "a"]


def test_copies_in_many_messages_at_once_are_flagged_but_for_one(
    pipeline: Pipeline, resources: Any, upsert: Any, photos: Any
) -> None:
    barrier, uri = Barrier(6), photos(1)

    def apply(n: int) -> None:
        barrier.wait()
        pipeline.apply([upsert(f"p{n}", uri)])

    with ThreadPoolExecutor(6) as threads:
        list(threads.map(apply, range(6)))
    assert [flag(resources, f"p{n}") for n in range(6)].count(None) == 1


def test_a_variant_family_shares_its_photos(
    pipeline: Pipeline, resources: Any, upsert: Any, photos: Any
) -> None:
    pipeline.apply([upsert("red-38", photos(1), group_id="red"), upsert("red-39", photos(1), group_id="red")])
    pipeline.apply([upsert("red-40", photos(1), group_id="red"), upsert("alien", photos(1), group_id="blue")])
    assert [flag(resources, f"red-{n}") for n in (38, 39, 40)] == [None, None, None]
    assert flag(resources, "alien") is not None


def test_a_flag_lasts_as_long_as_the_photos(
    pipeline: Pipeline, resources: Any, upsert: Any, photos: Any
) -> None:
    pipeline.apply([upsert("first", photos(1))])
    pipeline.apply([upsert("copy", photos(1))])
    pipeline.apply([parse_product_event("products.patch", {"id": "copy", "version": 2, "price": 3.0})])
    pipeline.apply([upsert("copy", photos(1), version=3, title="new")])
    pipeline.apply([Embed(id="copy")])
    assert flag(resources, "copy") == "first"
    pipeline.apply([upsert("copy", photos(2), version=4)])
    assert flag(resources, "copy") is None
    pipeline.apply([upsert("copy", photos(1), version=5)])
    assert flag(resources, "copy") == "first"
    pipeline.apply([parse_product_event("products.delete", {"id": "copy", "version": 6})])
    assert flag(resources, "copy") is None


def test_a_search_that_fails_costs_the_flag_and_not_the_event(
    pipeline: Pipeline,
    resources: Any,
    upsert: Any,
    photos: Any,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def unavailable(*_: Any, **__: Any) -> Any:
        raise IndexUnavailable("the search timed out")

    pipeline.apply([upsert("first", photos(1))])
    monkeypatch.setattr(resources.index, "search", unavailable)
    report = pipeline.apply([upsert("copy", photos(1)), upsert("other", photos(2))])
    assert (len(report.applied), report.retry) == (2, [])
    assert "duplicates_not_looked_for" in caplog.messages
    monkeypatch.undo()
    assert flag(resources, "copy") is None
    assert resources.index.count(Filter()) == 3


def test_nothing_is_flagged_unless_it_is_asked_for(
    make_settings: Any, resources: Any, upsert: Any, photos: Any
) -> None:
    with Pipeline(resources.index, resources.batcher, resources.source, make_settings()) as plain:
        plain.apply([upsert("first", photos(1)), upsert("copy", photos(1))])
    assert flag(resources, "copy") is None


def test_what_is_flagged_can_be_listed_and_left_out(
    pipeline: Pipeline, resources: Any, settings: Any, upsert: Any, photos: Any
) -> None:
    pipeline.apply([upsert("first", photos(1)), upsert("copy", photos(1)), upsert("other", photos(2))])
    server = serve_in_thread(create_app(resources, settings), "127.0.0.1", 0)
    try:
        with httpx.Client(base_url=server.url, trust_env=False) as api:
            flagged = api.get("/v1/products?duplicate=true").json()["items"]
            assert [(p["id"], p["duplicate_of"]) for p in flagged] == [
                ("copy", {"id": "first", "score": 1.0})
            ]
            plain = api.get("/v1/products?duplicate=false").json()["items"]
            assert {p["id"]: p["duplicate_of"] for p in plain} == {"first": None, "other": None}
            similar = api.get("/v1/products/other/similar?duplicate=false").json()["items"]
            assert [item["id"] for item in similar] == ["first"]
    finally:
        server.stop()
