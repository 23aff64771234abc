"""A refresh on both engines, with a real broker, and S3 over HTTP by a proxy that counts."""

import json
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field
from itertools import chain, count
from pathlib import Path
from threading import Event
from typing import Any

import pytest
from celery import Celery, Task
from celery.exceptions import Reject

from recommender.events import parse_product_event
from tests.integration.index.qdrant_servicer import qdrant_server
from tests.integration.worker.by_hand import Jobs
from tests.integration.worker.counting_proxy import CountingProxy, counting_proxy
from worker.delivery import Delivery
from worker.jobs import steps
from worker.jobs.book import JobBook, JobRecord
from worker.jobs.refresh import refresh_job
from worker.plan import EMBED
from worker.products import apply_products
from worker.refresh import comparing, retiring, scanning
from worker.refresh.run import forget
from worker.runtime import open_runtime

Document = dict[str, Any]
PRODUCTS = 7
BODIES: dict[str, Callable[[Delivery], None]] = {
    "catalog.refresh": refresh_job,
    **dict.fromkeys(("products.upsert", "products.delete", EMBED), apply_products),
}


@dataclass
class Shop:
    """A catalog of a few products that the index holds, the feed that names them, and a worker by hand."""

    jobs: Jobs
    s3: Any
    proxy: CountingProxy
    photo: Callable[[int], bytes]
    documents: dict[str, Document] = field(default_factory=dict)

    def stock(self, count: int = PRODUCTS) -> None:
        """Draw so many products, and have the index hold them."""
        for number in range(count):
            image = self.s3.put(f"img/{number}.jpg", self.photo(number))
            self.put(f"p{number}", images=[image], title="old", version=10)
        self.apply("products.upsert", *self.documents.values())

    def put(self, identity: str, **fields: Any) -> None:
        """Change a product of the feed, or add one."""
        known = self.documents.get(identity, {"id": identity, "category": "women/shoes"})
        self.documents[identity] = {**known, **fields}

    def apply(self, event: str, *documents: Document) -> None:
        """Bring the index up to date with events, past all queues."""
        runtime = self.jobs.runtime
        pipeline = runtime.pipelines.of(runtime.resources.serving.current)
        pipeline.apply([parse_product_event(event, document) for document in documents])

    def write_feed(self, *more: str) -> str:
        """Store the feed, and lines that are no products; returns its URI."""
        lines = [*(json.dumps(document) for document in self.documents.values()), *more]
        uri: str = self.s3.put("feeds/catalog.jsonl", "".join(f"{line}\n" for line in lines).encode())
        return uri

    def refresh(self, *more: str, **arguments: Any) -> JobRecord:
        """Run one to its end; returns its record."""
        self.jobs.run("catalog.refresh", feed=self.write_feed(*more), **arguments)
        self.jobs.run_all()
        return self.record()

    def record(self) -> JobRecord:
        """That of the latest job."""
        return max(self.jobs.runtime.jobs.list(), key=lambda record: record.created_at)

    def published(self) -> dict[str, list[Document]]:
        """The documents in `bulk`, by event."""
        found: dict[str, list[Document]] = {}
        for message in self.jobs.queued("bulk"):
            found.setdefault(message["headers"]["task"], []).extend(message["args"][0])
        return found

    def status(self, identity: str) -> str:
        """What the census says of a product; empty where the index has no point of it."""
        entries = self.jobs.runtime.resources.index.census().entries
        return next((entry.status for entry in entries if entry.id == identity), "")


def _nothing(_: Task) -> None:
    """Only the task's request is used."""


@pytest.fixture(params=["embedded", "server"])
def shop(
    request: pytest.FixtureRequest,
    redis_server: Any,
    make_settings: Any,
    weights: Path,
    s3: Any,
    photo: Any,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Shop]:
    for module, name in ((scanning, "PAGE_POINTS"), (retiring, "PAGE_POINTS"), (comparing, "PART_RECORDS")):
        monkeypatch.setattr(module, name, 3)
    with ExitStack() as stack:
        index = {"url": f"edge:{tmp_path / 'index'}"}
        if request.param == "server":
            port, _ = stack.enter_context(qdrant_server(tmp_path))
            index = {"url": "http://127.0.0.1:6333", "grpc_port": port}
        proxy = stack.enter_context(counting_proxy(s3.endpoint_url))
        settings = make_settings(
            redis={"url": redis_server.url},
            index=index,
            encoder={"weights": str(weights), "threads": 1},
            s3={"endpoint_url": proxy.url, "buckets": (s3.bucket,)},
            feed={"allowed": (f"s3://{s3.bucket}/",)},
        )
        app = stack.enter_context(Celery("shop", broker=redis_server.url, set_as_current=False))
        app.conf.task_ignore_result = True
        runtime = stack.enter_context(open_runtime(settings, Event().wait))
        tasks = {name: app.task(name=name, bind=True, shared=False)(_nothing) for name in BODIES}
        opened = Shop(Jobs(app, tasks, runtime, BODIES), s3, proxy, photo)
        opened.stock()
        proxy.seen.clear()
        yield opened


def test_a_catalog_that_has_not_changed_costs_no_message_and_no_image(shop: Shop) -> None:
    record = shop.refresh()
    assert (record.state, shop.published()) == ("done", {})
    assert shop.proxy.reads(f"/{shop.s3.bucket}/img/") == []
    assert shop.proxy.listings() == 1
    said = {name: record.report[name] for name in ("records", "unchanged", "new", "changed", "older", "gone")}
    assert said == {"records": 7, "unchanged": 7, "new": 0, "changed": 0, "older": 0, "gone": 0}
    assert (record.report["images_listed"], record.report["unchanged_images"]) == (7, 7)
    assert record.report["device_s_saved"] > 0
    assert record.report["seconds"] >= 0
    assert shop.jobs.runtime.redis.keys("*:refresh:*") == []  # no note is left behind


def test_versions_alone_are_no_change(shop: Shop) -> None:
    for identity in shop.documents:
        shop.put(identity, version=11)
    assert (shop.refresh().report["unchanged"], shop.published()) == (7, {})


def test_each_kind_of_change_is_found_and_nothing_else(shop: Shop) -> None:
    shop.put("p1", title="new", version=11)
    shop.put("p8", images=[shop.s3.put("img/8.jpg", shop.photo(8))], version=1)
    del shop.documents["p2"]
    shop.s3.put("img/3.jpg", shop.photo(33))
    shop.s3.client.delete_object(Bucket=shop.s3.bucket, Key="img/4.jpg")
    bad = json.dumps({"id": "p5", "version": 12})
    del shop.documents["p5"]
    record = shop.refresh(bad, max_gone=0.2)
    published = shop.published()
    assert published["products.upsert"] == [shop.documents["p1"], shop.documents["p8"]]
    assert published["products.embed"] == [{"id": i, "only_changed": True} for i in ("p3", "p4")]
    assert published["products.delete"] == [{"id": "p2", "version": 10}]
    assert shop.proxy.reads(f"/{shop.s3.bucket}/img/") == []
    (letter,) = shop.jobs.runtime.dead_letters.all()
    assert (letter.product, "line 7: images: " in letter.message) == ("p5", True)
    report = record.report
    assert (report["new"], report["changed"], report["gone"], report["unchanged"]) == (1, 1, 1, 4)
    assert (report["images_moved"], report["images_vanished"], report["looked_at_again"]) == (1, 1, 2)
    assert list(report["failed"].values()) == [1]

    shop.jobs.apply_all()
    assert [shop.status(i) for i in ("p2", "p4", "p8")] == ["deleted", "imageless", "searchable"]
    assert set(shop.proxy.reads(f"/{shop.s3.bucket}/img/")) == {
        ("GET", f"/{shop.s3.bucket}/img/{number}.jpg") for number in (1, 3, 4, 8)
    }
    record = shop.refresh(bad)
    assert (record.report["unchanged"], shop.published()) == (6, {})


def test_a_version_that_is_not_newer_is_judged_by_what_it_says(shop: Shop) -> None:
    shop.apply("products.patch", {"id": "p1", "version": 20, "price": 5.0})
    shop.apply("products.delete", {"id": "p2", "version": 20})
    shop.put("p1", price=4.0, version=9)
    shop.put("p3", title="older", version=9)
    record = shop.refresh()
    assert (record.report["older"], shop.published()) == (3, {})
    shop.put("p1", title="new", version=15)  # the patch, which is newer, says nothing of that
    shop.put("p2", version=21)
    for published in (["p1", "p2"], []):
        record = shop.refresh()
        counts = (record.report["changed"], record.report["new"], record.report["older"])
        assert counts == ((1, 1, 1) if published else (0, 0, 2))
        found = shop.published().get("products.upsert", [])
        assert sorted(document["id"] for document in found) == published
        shop.jobs.apply_all()


@pytest.mark.parametrize("kept", [0, 5])
def test_a_feed_that_lacks_many_deletes_nothing(shop: Shop, kept: int) -> None:
    shop.documents = dict(list(shop.documents.items())[:kept])
    shop.put("p0", images=[shop.s3.put("img/0.jpg", shop.photo(0))], version=11, title="new")
    record = shop.refresh()
    assert record.state == "stopped"
    missing = PRODUCTS - len(shop.documents)
    assert f"{missing} of the index's 7 products are not in" in record.message
    assert "--max-gone" in record.message
    assert list(shop.published()) == ["products.upsert"]
    assert list(shop.jobs.runtime.dead_letters.all()) == []
    assert record.report["changed"] == 1
    assert shop.refresh(max_gone=1).state == "done"
    assert len(shop.published()["products.delete"]) == missing


def test_a_feed_that_breaks_off_deletes_nothing(shop: Shop) -> None:
    del shop.documents["p6"]
    record = shop.refresh('{"id": "p6", "ver', max_gone=1)
    assert (record.state, shop.published()) == ("stopped", {})
    assert "have no id that can be read" in record.message

    uri = shop.write_feed()
    whole = shop.s3.client.get_object(Bucket=shop.s3.bucket, Key="feeds/catalog.jsonl")["Body"].read()
    shop.s3.put("feeds/catalog.jsonl", whole[:-20])
    shop.jobs.run("catalog.refresh", feed=uri, max_gone=1)
    shop.jobs.run_all()
    assert (shop.record().state, shop.published()) == ("failed", {})


def test_what_happens_meanwhile_is_not_undone(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    """What the shop says after the scan wins, before the deletes are published and after."""
    monkeypatch.setattr(steps, "JOB_STEP_S", 0)
    images = shop.documents["p0"]["images"]
    for gone in ("p1", "p2", "p3"):
        del shop.documents[gone]
    shop.jobs.run("catalog.refresh", feed=shop.write_feed(), max_gone=1)
    while shop.record().phase in ("scanning", "listing"):
        shop.jobs.run_next()
    late = {"category": "women/shoes", "images": images}
    shop.apply("products.upsert", {**late, "id": "added", "version": 1}, {**late, "id": "p1", "version": 11})
    shop.apply("products.patch", {"id": "p2", "version": 11, "price": 1.0})
    shop.jobs.run_all()
    assert shop.published() == {"products.delete": [{"id": "p3", "version": 10}]}
    shop.apply("products.upsert", {**late, "id": "p3", "version": 11})
    shop.jobs.apply_all()
    assert [shop.status(i) for i in ("added", "p1", "p2", "p3")] == ["searchable"] * 4


def test_a_tombstone_yields_to_the_next_version_of_the_shop(shop: Shop) -> None:
    gone = shop.documents.pop("p1")
    shop.refresh(max_gone=1)
    shop.jobs.apply_all()
    assert shop.status("p1") == "deleted"
    shop.documents["p1"] = gone
    assert (shop.refresh().report["older"], shop.published()) == (1, {})
    shop.put("p1", version=11)
    assert shop.refresh().report["new"] == 1
    shop.jobs.apply_all()
    assert shop.status("p1") == "searchable"


def test_a_bucket_that_may_not_be_listed_is_said(shop: Shop) -> None:
    elsewhere = shop.jobs.runtime.settings.s3.buckets
    assert elsewhere == (shop.s3.bucket,)
    shop.put("p1", images=["s3://forbidden/1.jpg"], version=11)
    shop.apply("products.upsert", shop.documents["p1"])
    record = shop.refresh()
    assert (record.state, list(record.report["not_listed"])) == ("done", ["s3://forbidden/"])
    assert record.report["images_vanished"] == 0


def test_a_refresh_whose_notes_are_lost_begins_anew(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "JOB_STEP_S", 0)
    shop.put("p6", title="new", version=11)
    shop.jobs.run("catalog.refresh", feed=shop.write_feed())
    while shop.record().phase != "comparing":
        shop.jobs.run_next()
    forget()
    shop.jobs.runtime.redis.delete(*shop.jobs.runtime.redis.keys("*:refresh:*"))
    shop.jobs.run_all()
    record = shop.record()
    assert (record.state, record.report["records"], record.report["changed"]) == ("done", 7, 1)
    assert [document["id"] for document in shop.published()["products.upsert"]] == ["p6"]


class Killed:
    """Stands in for `JobBook.save`: at one part the worker ends, before or after it was written down."""

    def __init__(self, book: JobBook, fatal: int, *, noted: bool) -> None:
        self.save, self.fatal, self.noted, self.parts = book.save, fatal, noted, 0

    def __call__(self, *arguments: Any) -> Any:
        self.parts += 1
        is_fatal = self.parts == self.fatal
        answer = None if is_fatal and not self.noted else self.save(*arguments)
        if is_fatal:
            raise Reject("killed", requeue=True)
        return answer


@pytest.mark.parametrize("noted", [True, False], ids=["noted", "not-noted"])
def test_killed_at_any_part_it_ends_the_same(
    shop: Shop, noted: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run for each part of the index, the listing, the feed and the index again."""
    monkeypatch.setattr(steps, "JOB_STEP_S", 0)
    shop.put("p0", title="new", version=11)
    shop.put("p6", title="new", version=11)
    shop.put("p8", images=["s3://shop-images/img/1.jpg"], version=1)
    del shop.documents["p3"], shop.documents["p5"]
    shop.s3.put("img/4.jpg", shop.photo(44))
    uri = shop.write_feed(json.dumps({"id": "p5"}))
    book, outcomes, phases = shop.jobs.runtime.jobs, [], set()
    for fatal in count():  # 0: none is
        with monkeypatch.context() as patch:
            killed = Killed(book, fatal, noted=noted)
            patch.setattr(book, "save", killed)
            phases |= _run_through_a_kill(shop.jobs, uri)
        if fatal > killed.parts:
            break
        outcomes.append(_outcome(shop))
    assert len(outcomes) == 13
    assert all(outcome == outcomes[0] for outcome in outcomes)
    assert phases - {""} == {"scanning", "listing", "comparing", "retiring"}
    assert outcomes[0][0]["changed"] == 2


def _run_through_a_kill(jobs: Jobs, uri: str) -> set[str]:
    """Run a refresh; what is killed is delivered again. Returns the phases in which it was."""
    tag, phases = next(jobs.tags), set()
    message: dict[str, Any] = {"headers": {"task": "catalog.refresh", "id": "job"}}
    message["kwargs"] = {"feed": uri, "max_gone": 0.5}
    jobs.tags = chain((tag, tag), jobs.tags)  # the first message is known by it when it comes again
    while message:
        try:
            jobs.run_again(message)
        except Reject:
            forget()  # what the process held in memory
            phases.add(max(jobs.runtime.jobs.list(), key=lambda record: record.created_at).phase)
            jobs.run_again(message)
        message = next(iter(jobs.queued("catalog")), {})
        jobs.runtime.redis.rpop("catalog")
    return phases


def _outcome(shop: Shop) -> tuple[dict[str, Any], Any]:
    """What the latest run published, each once, and said; its messages are removed."""
    record = shop.record()
    assert record.state == "done", record
    told = {
        name: value for name, value in record.report.items() if not name.startswith(("seconds", "device"))
    }
    published = {
        event: sorted({json.dumps(document) for document in documents})
        for event, documents in shop.published().items()
    }
    shop.jobs.runtime.redis.delete("bulk")
    return told, published
