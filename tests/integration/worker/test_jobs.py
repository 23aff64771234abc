"""Catalog jobs as chains of steps, on a real broker, with a real index and S3 over HTTP."""

import json
from collections.abc import Callable, Generator, Iterator
from itertools import chain
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from celery import Celery, Task
from celery.exceptions import Reject
from prometheus_client import REGISTRY

from recommender.errors import FeedError, ImageStoreUnavailable
from recommender.events import parse_product_event
from tests.integration.worker.by_hand import Jobs
from worker.celery import SCHEDULED_REFRESH
from worker.delivery import Delivery
from worker.feeds.s3 import S3Feed
from worker.feeds.store import Part
from worker.jobs import refresh, reindex, steps
from worker.jobs.dead_letters import DeadLetter
from worker.jobs.refresh import refresh_job, scheduled_refresh_job
from worker.jobs.reindex import reindex_job
from worker.publish import CURSOR
from worker.refresh import comparing
from worker.replay import replay
from worker.runtime import open_runtime
from worker.stream import StreamConsumer

BODIES: dict[str, Callable[[Delivery], None]] = {
    "catalog.refresh": refresh_job,
    "catalog.reindex": reindex_job,
    SCHEDULED_REFRESH: scheduled_refresh_job,
}


OpenJobs = Callable[..., Jobs]


def _nothing(_: Task) -> None:
    """Only the task's request is used."""


@pytest.fixture
def open_jobs(
    redis_server: Any, make_settings: Any, weights: Path, s3: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[OpenJobs]:
    monkeypatch.setattr(comparing, "PART_RECORDS", 2)
    monkeypatch.setattr(reindex, "MAX_DOCUMENTS", 2)
    opened = []
    app = Celery("jobs", broker=redis_server.url, set_as_current=False)
    app.conf.task_ignore_result = True
    tasks = {name: app.task(name=name, bind=True, shared=False)(_nothing) for name in BODIES}

    def open_(**feed: Any) -> Jobs:
        settings = make_settings(
            redis={"url": redis_server.url},
            encoder={"weights": str(weights)},
            s3={"endpoint_url": s3.endpoint_url, "buckets": (s3.bucket,)},
            feed={"allowed": (f"s3://{s3.bucket}/",), **feed},
        )
        context = open_runtime(settings, Event().wait)
        opened.append(context)
        return Jobs(app, tasks, context.__enter__(), BODIES)

    yield open_
    for context in opened:
        context.__exit__(None, None, None)
    app.close()


@pytest.fixture
def jobs(open_jobs: OpenJobs) -> Jobs:
    return open_jobs()


@pytest.fixture
def feed(s3: Any, document: Callable[..., dict[str, Any]]) -> Callable[[int], str]:
    """Store a feed of so many products."""

    def make(products: int) -> str:
        lines = [json.dumps(document(f"p{n}", f"s3://b/{n}.jpg")) for n in range(products)]
        uri: str = s3.put("feed.jsonl", "\n".join(lines).encode())
        return uri

    return make


def reach_the_feed(jobs: Jobs, uri: str) -> None:
    """Do the first steps of a refresh, up to the first part of its feed."""
    jobs.run("catalog.refresh", feed=uri)
    while not jobs.published():
        jobs.run_next()


@pytest.fixture
def short_steps(monkeypatch: pytest.MonkeyPatch) -> None:
    """One part a step."""
    monkeypatch.setattr(steps, "JOB_STEP_S", 0)


def test_a_feed_is_published_in_one_step_where_that_is_short(jobs: Jobs, feed: Any) -> None:
    jobs.run("catalog.refresh", feed=feed(5))
    assert jobs.published() == [["p0", "p1"], ["p2", "p3"], ["p4"]]
    assert jobs.queued("catalog") == []


def test_a_page_is_bounded_in_bytes_too(jobs: Jobs, feed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("worker.publish.BATCH_BYTES", 1)
    jobs.run("catalog.refresh", feed=feed(3))
    assert jobs.published() == [["p0"], ["p1"], ["p2"]]


@pytest.mark.usefixtures("short_steps")
def test_a_step_ends_and_another_goes_on(jobs: Jobs, feed: Any) -> None:
    uri = feed(6)
    jobs.run("catalog.refresh", feed=uri)
    (message,) = jobs.queued("catalog")
    assert message["headers"]["id"] == "job"
    assert message["headers"]["eta"] is None
    assert message["kwargs"] == {"feed": uri}
    assert jobs.run_all() == 6  # the listing, three parts of the feed, its end, what is gone
    assert jobs.published() == [["p0", "p1"], ["p2", "p3"], ["p4", "p5"]]
    report = jobs.runtime.jobs.list(1)[0].report
    assert (report["records"], report["new"], report["failed"]) == (6, 6, {})


@pytest.mark.usefixtures("short_steps")
def test_bad_lines_are_dead_letters_that_name_the_line(jobs: Jobs, s3: Any, document: Any) -> None:
    good = json.dumps(document("good", "s3://b/1.jpg"))
    uri = s3.put("feed.jsonl", f"{good}\nno json\n\n{{}}\n{good}\n".encode())
    jobs.run("catalog.refresh", feed=uri)
    jobs.run_all()
    assert jobs.published() == [["good"], ["good"]]
    found = [letter.message for letter in jobs.runtime.dead_letters.all()]
    assert f"{uri} line 2: not JSON" in found[0]
    assert f"{uri} line 4: " in found[1]


@pytest.mark.usefixtures("short_steps")
def test_a_step_that_was_killed_goes_on_and_the_chain_does_not_fork(jobs: Jobs, feed: Any) -> None:
    jobs.run("catalog.refresh", feed=feed(8))
    killed = jobs.run_next(killed=True)
    jobs.run_again(killed)
    assert len(jobs.queued("catalog")) == 2  # two continuations of one step
    jobs.run_all()
    assert jobs.published() == [["p0", "p1"], ["p2", "p3"], ["p4", "p5"], ["p6", "p7"]]


@pytest.mark.usefixtures("short_steps")
def test_the_first_step_that_was_killed_does_not_fork_the_chain(jobs: Jobs, feed: Any) -> None:
    uri = feed(4)
    jobs.tags = chain((7, 7), jobs.tags)
    jobs.run("catalog.refresh", feed=uri, killed=True)
    jobs.run("catalog.refresh", feed=uri)
    assert len(jobs.queued("catalog")) == 2
    jobs.run_all()
    assert jobs.published() == [["p0", "p1"], ["p2", "p3"]]


@pytest.mark.usefixtures("short_steps")
def test_what_was_not_written_down_is_repeated_and_no_more(
    jobs: Jobs, feed: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    reach_the_feed(jobs, feed(6))
    (message,) = jobs.queued("catalog")

    def killed(*_: Any) -> None:
        raise Reject("killed", requeue=True)

    with monkeypatch.context() as patch:
        patch.setattr("worker.jobs.book.JobBook.save", killed)
        with pytest.raises(Reject):
            jobs.run_next()
    jobs.run_again(message)
    jobs.run_all()
    assert jobs.published() == [["p0", "p1"], ["p2", "p3"], ["p2", "p3"], ["p4", "p5"]]


@pytest.mark.usefixtures("short_steps")
def test_a_producer_may_use_one_task_id_many_times(jobs: Jobs, feed: Any) -> None:
    uri = feed(4)
    for _ in range(2):
        jobs.run("catalog.refresh", "nightly", feed=uri)
        jobs.run_all()
    assert jobs.published() == [["p0", "p1"], ["p2", "p3"]] * 2


def test_a_step_whose_worker_ended_before_does_one_part(jobs: Jobs, feed: Any) -> None:
    uri = feed(6)
    jobs.runtime.deliveries.begin(jobs.take("7"))  # and then its worker was killed
    jobs.tags = iter((7, 8))
    jobs.run("catalog.refresh", feed=uri)
    assert jobs.runtime.jobs.list(1)[0].phase == "scanning"
    jobs.run_next()
    assert jobs.published() == [["p0", "p1"], ["p2", "p3"], ["p4", "p5"]]


@pytest.mark.usefixtures("short_steps")
def test_a_feed_that_changed_meanwhile_is_read_from_its_start(
    jobs: Jobs, feed: Any, caplog: pytest.LogCaptureFixture
) -> None:
    reach_the_feed(jobs, feed(4))
    feed(3)
    jobs.run_all()
    assert jobs.published() == [["p0", "p1"], ["p0", "p1"], ["p2"]]
    assert [record.message for record in caplog.records].count("feed_changed") == 1


def test_what_fails_midway_goes_on_from_there(jobs: Jobs, feed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    uri = feed(6)
    whole = S3Feed.stream

    def half(store: S3Feed, part: Part, start: int) -> Generator[bytes, None, None]:
        data = b"".join(whole(store, part, start))
        yield data[: len(data) // 2]
        raise ImageStoreUnavailable("it broke off")

    with monkeypatch.context() as patch:
        patch.setattr(S3Feed, "stream", half)
        jobs.run("catalog.refresh", feed=uri)
    assert jobs.published() == [["p0", "p1"]]
    (message,) = jobs.queued("catalog")
    assert message["headers"]["eta"] is not None
    jobs.run_all()
    assert jobs.published() == [["p0", "p1"], ["p2", "p3"], ["p4", "p5"]]


def test_it_waits_while_bulk_is_full(jobs: Jobs, feed: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(steps, "BULK_AT_MOST", 1)
    jobs.run("catalog.refresh", feed=feed(6))
    assert jobs.published() == [["p0", "p1"], ["p2", "p3"]]
    for _ in range(3):
        waiting = jobs.run_next()
        assert waiting["headers"]["eta"] is not None
    assert len(jobs.published()) == 2
    jobs.runtime.redis.delete("bulk")
    jobs.run_all()
    assert jobs.published() == [["p4", "p5"]]


@pytest.mark.parametrize(
    "cursor",
    [
        {"number": -1},
        {"number": "many"},
        {"position": []},
        {"number": 1, "token": "t", "more": 1},
    ],
)
def test_a_cursor_that_is_none_of_ours_is_a_dead_letter(jobs: Jobs, feed: Any, cursor: Any) -> None:
    jobs.run("catalog.refresh", headers={CURSOR: cursor}, feed=feed(1))
    (letter,) = jobs.runtime.dead_letters.all()
    assert letter.reason == "InvalidEvent"
    assert CURSOR in letter.message


def test_a_step_is_given_back_when_the_broker_is_away(
    jobs: Jobs, feed: Any, redis_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    uri = feed(1)
    redis_server.kill()
    monkeypatch.setattr(jobs, "take", str)
    with pytest.raises(Reject) as raised:
        jobs.run("catalog.refresh", feed=uri)
    assert raised.value.requeue


@pytest.mark.usefixtures("short_steps")
def test_a_reindex_goes_on_page_by_page(jobs: Jobs, document: Any, photo: Any, s3: Any) -> None:
    documents = [document(f"p{n}", s3.put(f"{n}.jpg", photo(n))) for n in range(5)]
    pair = jobs.runtime.resources.serving.current
    jobs.runtime.pipelines.of(pair).apply([parse_product_event("products.upsert", one) for one in documents])
    jobs.run("catalog.reindex", encoder=None, scope=None)
    assert jobs.run_all() == 3
    assert [len(page) for page in jobs.published()] == [2, 2, 1]
    assert sorted(chain.from_iterable(jobs.published())) == [f"p{n}" for n in range(5)]
    jobs.runtime.redis.delete("bulk")
    jobs.run("catalog.reindex", "another", scope={"ids": ["p3", "p1", "p2"]})
    assert jobs.run_all() == 2
    assert jobs.published() == [["p3", "p1"], ["p2"]]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[[float], None]]:
    """Set the time that slots are told by."""
    now = 0.0

    class Time:
        @staticmethod
        def time() -> float:
            return now

    def set_to(seconds: float) -> None:
        nonlocal now
        now = seconds

    monkeypatch.setattr(refresh, "time", Time)
    return set_to


def test_one_run_a_slot_whatever_the_number_of_beats(
    open_jobs: OpenJobs, s3: Any, feed: Any, clock: Any
) -> None:
    feed(2)
    jobs = open_jobs(scheduled=f"s3://{s3.bucket}/feed.jsonl", every_s=60)
    for slot in range(3):
        for beat in range(3):
            clock(60 * slot + 20 * beat)
            jobs.run(SCHEDULED_REFRESH, f"{slot}-{beat}")
    assert len(jobs.published()) == 3


@pytest.mark.usefixtures("short_steps")
def test_a_message_keeps_its_slot_when_it_comes_again_in_the_time_of_another(
    open_jobs: OpenJobs, s3: Any, feed: Any, clock: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    feed(4)
    jobs = open_jobs(scheduled=f"s3://{s3.bucket}/feed.jsonl", every_s=60)

    def killed(*_: Any) -> None:
        raise Reject("killed", requeue=True)

    with monkeypatch.context() as patch:
        patch.setattr(refresh, "refresh_from", killed)
        with pytest.raises(Reject):
            jobs.run(SCHEDULED_REFRESH, "first")
    jobs.run(SCHEDULED_REFRESH, "another")
    assert jobs.published() == []
    clock(70)
    jobs.run(SCHEDULED_REFRESH, "second")
    assert len(jobs.queued("catalog")) == 1
    clock(90)
    jobs.run(SCHEDULED_REFRESH, "first")  # and waits for the other to end
    assert len(jobs.queued("catalog")) == 2
    clock(130)  # and their continuations in the time of the third
    jobs.run_all()
    assert len(jobs.published()) == 4


@pytest.mark.usefixtures("short_steps")
def test_stream_celery_and_schedule_reach_one_job_and_make_one_more_run(
    open_jobs: OpenJobs, feed: Any, make_settings: Any, redis_server: Any, wait_for: Any
) -> None:
    uri = feed(4)
    jobs = open_jobs(scheduled=uri, every_s=60)
    jobs.app.conf.task_routes = {"catalog.*": {"queue": "catalog"}}
    jobs.run("catalog.refresh", feed=uri)
    (first,) = jobs.runtime.jobs.list()
    assert REGISTRY.get_sample_value("lookalike_jobs_running") == 1
    consumer = StreamConsumer(jobs.app, make_settings(redis={"url": redis_server.url}))
    for _ in range(5):
        entry = {"type": "catalog.refresh", "data": json.dumps({"feed": uri})}
        jobs.runtime.redis.xadd("lookalike:events", entry)
        jobs.app.send_task("catalog.refresh", kwargs={"feed": uri})
    jobs.app.send_task(SCHEDULED_REFRESH)
    thread = Thread(target=consumer.run)
    thread.start()
    try:  # the continuation of the first, and eleven that ask for the same
        wait_for("all are in Celery's queue", lambda: len(jobs.queued("catalog")) == 12)
    finally:
        consumer.stop()
        thread.join(30)
    jobs.run_all()
    ended = jobs.runtime.jobs.list()
    assert [(one.type, one.arguments, one.state) for one in ended] == [
        ("catalog.refresh", {"feed": uri}, "done")
    ] * 2
    assert first.id == ended[1].id


@pytest.mark.usefixtures("short_steps")
def test_a_scheduled_refresh_that_is_replayed_needs_no_slot(
    open_jobs: OpenJobs, s3: Any, feed: Any, clock: Any
) -> None:
    feed(4)
    jobs = open_jobs(scheduled=f"s3://{s3.bucket}/feed.jsonl", every_s=60)
    clock(0)
    jobs.run(SCHEDULED_REFRESH, "the owner of the slot")
    jobs.run_all()
    published = jobs.published()
    letters = jobs.runtime.dead_letters
    letters.add([DeadLetter.of(SCHEDULED_REFRESH, {}, FeedError("missing"))])
    assert [len(done.published) for done in replay(jobs.app, letters, letters.all())] == [1]
    jobs.run_all()
    assert jobs.published() == published * 2
