"""One job a scope, waited for, cancelled, given up and remembered, on a real Redis."""

import logging
from collections.abc import Callable, Generator, Iterator
from typing import Any

import pytest
import redis
from celery import Celery, Task
from prometheus_client import REGISTRY

from recommender.errors import ImageStoreUnavailable, InvalidEvent, JobStopped
from tests.integration.worker.by_hand import Jobs
from worker.delivery import Delivery
from worker.jobs import book_scripts, steps
from worker.jobs.book import JobRecord, scope_of
from worker.jobs.steps import Job, Position, noting_refusals, run_job
from worker.publish import CURSOR

REFRESH = "catalog.refresh"


class At(Position):
    """The next number."""

    n: int = 0


class Counter:
    """A job that counts to five, a number a part; `before` may do anything before each."""

    def __init__(self) -> None:
        self.counted: list[int] = []
        self.before: Callable[[int, Job], None] = lambda _n, _job: None

    def __call__(self, delivery: Delivery) -> None:
        run_job(delivery, scope_of(delivery.kwargs), At(), self.work)

    def work(self, position: At, job: Job) -> Generator[At, None, None]:
        job.phase("counting", 5)
        for n in range(position.n, 5):
            self.before(n, job)
            self.counted.append(n)
            job.done(n + 1)
            job.report["numbers"] = [*job.report.get("numbers", []), n]
            yield At(n=n + 1)
        job.phase("resting")


def _nothing(_: Task) -> None:
    """Only the task's request is used."""


@pytest.fixture
def counter() -> Counter:
    return Counter()


@pytest.fixture
def jobs(
    redis_server: Any, make_settings: Any, open_runtime: Any, counter: Counter, monkeypatch: Any
) -> Iterator[Jobs]:
    monkeypatch.setattr(steps, "JOB_STEP_S", 0)
    settings = make_settings(redis={"url": redis_server.url})
    with (
        Celery("jobs", broker=redis_server.url, set_as_current=False) as app,
        redis.Redis.from_url(redis_server.url, decode_responses=True) as client,
        open_runtime(settings, client) as runtime,
    ):
        app.conf.task_ignore_result = True
        names = (REFRESH, "catalog.reindex")
        tasks = {name: app.task(name=name, bind=True, shared=False)(_nothing) for name in names}
        yield Jobs(app, tasks, runtime, dict.fromkeys(names, counter))


def states(jobs: Jobs) -> list[str]:
    return [record.state for record in jobs.runtime.jobs.list()]


def only(jobs: Jobs) -> JobRecord:
    (record,) = jobs.runtime.jobs.list()
    return record


def test_a_record_says_how_far_its_job_is(jobs: Jobs, counter: Counter) -> None:
    jobs.run(REFRESH, feed="a")
    record = only(jobs)
    assert (record.type, record.arguments, record.scope) == (REFRESH, {"feed": "a"}, '{"feed":"a"}')
    assert (record.state, record.phase, record.done, record.total) == ("running", "counting", 1, 5)
    assert record.position == {"n": 1}
    assert record.report == {"numbers": [0]}
    assert record.per_s > 0
    assert record.remaining_s is not None
    assert jobs.runtime.jobs.running() == 1
    jobs.run_all()
    record = only(jobs)
    assert (record.state, record.phase, record.done, record.total) == ("done", "resting", 0, None)
    assert record.report == {"numbers": [0, 1, 2, 3, 4]}
    assert 0 < record.created_at <= record.started_at < record.ended_at <= jobs.runtime.jobs.now()
    assert counter.counted == [0, 1, 2, 3, 4]
    assert jobs.runtime.jobs.running() == 0


def test_ten_triggers_while_a_job_runs_make_one_more_run(
    jobs: Jobs, counter: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    jobs.run(REFRESH, feed="a")
    with caplog.at_level(logging.INFO):
        for n in range(10):
            jobs.run(REFRESH, str(n), feed="a")
    waiting = next(one for one in jobs.runtime.jobs.list() if one.state == "waiting")
    merged = [vars(record) for record in caplog.records if record.message == "trigger_merged"]
    assert [one["id"] for one in merged] == [str(n) for n in range(1, 10)]
    assert {one["job"] for one in merged} == {waiting.id}
    jobs.run(REFRESH, "of another scope", feed="b")
    assert counter.counted == [0, 0]
    jobs.run_all()
    assert sorted(counter.counted) == sorted([*range(5)] * 3)
    assert states(jobs) == ["done"] * 3
    jobs.run(REFRESH, feed="a")
    jobs.run_all()
    assert sorted(counter.counted) == sorted([*range(5)] * 4)


def test_a_trigger_that_waits_is_not_lost_when_the_runner_is_killed_at_its_end(
    jobs: Jobs, counter: Counter
) -> None:
    jobs.run(REFRESH, feed="a")
    jobs.run(REFRESH, "waits", feed="a")
    while "done" not in states(jobs):
        last = jobs.run_next(killed=True)
        jobs.run_again(last)  # every message comes twice
    jobs.run_all()
    assert states(jobs) == ["done"] * 2
    assert sorted(counter.counted) == sorted([*range(5)] * 2)


def test_ten_copies_of_a_waiting_message_make_one_run(jobs: Jobs, counter: Counter) -> None:
    jobs.run(REFRESH, feed="a")
    jobs.run(REFRESH, "waits", feed="a", killed=True)
    jobs.run_next()  # the runner
    waiting = jobs.queued("catalog")[0]
    for _ in range(10):
        jobs.run_again(waiting, killed=True)
    jobs.run_all()
    assert sorted(counter.counted) == sorted([*range(5)] * 2)


def test_a_running_job_is_cancelled_between_parts(jobs: Jobs, counter: Counter) -> None:
    def cancel(n: int, job: Job) -> None:
        if n == 2:
            assert jobs.runtime.jobs.cancel(job.id) == "cancelling"
            assert only(jobs).cancelling

    counter.before = cancel
    jobs.run(REFRESH, feed="a")
    jobs.run_all()
    assert counter.counted == [0, 1, 2]
    assert (only(jobs).state, only(jobs).report) == ("cancelled", {"numbers": [0, 1, 2]})
    assert jobs.runtime.jobs.cancel(only(jobs).id) == "cancelled"
    assert jobs.runtime.jobs.cancel("nobody") is None


def test_a_job_that_rests_or_waits_is_cancelled_at_once(jobs: Jobs, counter: Counter) -> None:
    before = ended("cancelled")
    jobs.run(REFRESH, feed="a")
    jobs.run(REFRESH, "waits", feed="a")
    for record in jobs.runtime.jobs.list():
        assert jobs.runtime.jobs.cancel(record.id) == "cancelled"
    assert states(jobs) == ["cancelled"] * 2
    assert jobs.run_all() == 2
    assert counter.counted == [0]
    assert ended("cancelled") == before + 2
    jobs.run(REFRESH, feed="a")
    jobs.run_all()
    assert counter.counted == [0, 0, 1, 2, 3, 4]


def ended(state: str) -> float:
    labels = {"type": REFRESH, "state": state}
    return REGISTRY.get_sample_value("lookalike_jobs_ended_total", labels) or 0


def test_a_guard_stops_a_job_without_a_dead_letter(
    jobs: Jobs, counter: Counter, caplog: pytest.LogCaptureFixture
) -> None:
    def guard(n: int, _: Job) -> None:
        if n == 1:
            raise JobStopped("too much would go")

    counter.before = guard
    jobs.run(REFRESH, feed="a")
    jobs.run_all()
    assert (only(jobs).state, only(jobs).message) == ("stopped", "too much would go")
    assert jobs.runtime.dead_letters.count() == 0
    assert [r.levelname for r in caplog.records if r.message == "job_ended"] == ["ERROR"]


def test_what_fails_for_good_is_a_dead_letter_and_the_job_has_failed(jobs: Jobs, counter: Counter) -> None:
    def fail(n: int, _: Job) -> None:
        if n == 1:
            raise ZeroDivisionError("who knows why")

    counter.before = fail
    jobs.run(REFRESH, feed="a")
    jobs.run_all()
    (letter,) = jobs.runtime.dead_letters.all()
    assert letter.attempts == jobs.runtime.settings.worker.max_attempts
    assert only(jobs).state == "failed"
    assert only(jobs).message == "ZeroDivisionError: who knows why"
    assert counter.counted == [0]


def test_what_is_refused_before_it_begins_is_a_job_that_failed(jobs: Jobs, counter: Counter) -> None:
    def refuse(*_: Any) -> None:
        raise InvalidEvent("feed", "not this one")

    jobs.run(REFRESH, feed="s3://b/f")
    jobs.bodies = {REFRESH: noting_refusals(refuse)}
    jobs.run(REFRESH, "refused", feed="s3://b/f")
    jobs.run(REFRESH, "no feed at all")
    runs, refused = jobs.runtime.jobs.list()
    assert (runs.state, refused.state) == ("running", "failed")
    assert (refused.scope, refused.message) == (runs.scope, "InvalidEvent: feed: not this one")
    assert refused.ended_at > 0
    assert jobs.runtime.dead_letters.count() == 2
    jobs.bodies = {REFRESH: noting_refusals(counter)}
    counter.before = refuse
    jobs.run_next()
    assert [one.state for one in jobs.runtime.jobs.list()] == ["failed"] * 2


def test_a_first_step_that_is_tried_again_is_the_same_job(jobs: Jobs, counter: Counter) -> None:
    def away(*_: Any) -> None:
        counter.before = lambda _n, _job: None
        raise ImageStoreUnavailable("away")

    counter.before = away
    jobs.run(REFRESH, feed="a")
    (again,) = jobs.queued("catalog")
    assert again["headers"][CURSOR] is None
    jobs.run_all()
    assert only(jobs).state == "done"
    assert counter.counted == [0, 1, 2, 3, 4]


def test_a_job_whose_messages_are_gone_is_superseded(
    jobs: Jobs, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    jobs.run(REFRESH, "lost", feed="a")
    (lost,) = jobs.queued("catalog")
    jobs.runtime.redis.delete("catalog")
    jobs.run(REFRESH, "waits", feed="a")
    jobs.run_next()
    assert sorted(states(jobs)) == ["running", "waiting"]
    for name in ("BEGIN", "CANCEL"):
        script = getattr(book_scripts, name).replace("300", "0")
        monkeypatch.setattr(book_scripts, name, script)
    jobs.run_all()
    assert sorted(states(jobs)) == ["done", "failed"]
    failed = next(one for one in jobs.runtime.jobs.list() if one.state == "failed")
    assert "its message is gone" in failed.message
    counted = [0, 0, 1, 2, 3, 4]
    assert counter.counted == counted
    jobs.run_again(lost)  # it was in somebody's hands after all
    assert counter.counted == counted
    assert jobs.queued("catalog") == []


def test_a_job_is_not_given_up_while_its_message_is_in_hand(
    jobs: Jobs, counter: Counter, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book_scripts, "BEGIN", book_scripts.BEGIN.replace("300", "0"))

    def another(n: int, _: Job) -> None:
        if n == 1:
            counter.before = lambda _n, _job: None
            jobs.run(REFRESH, "another", feed="a")
            jobs.run_next()

    counter.before = another
    jobs.run(REFRESH, feed="a")
    jobs.run_next()
    assert counter.counted == [0, 1]
    assert sorted(states(jobs)) == ["running", "waiting"]


def test_a_job_waits_for_as_long_as_it_said(jobs: Jobs, counter: Counter) -> None:
    counter.before = lambda n, job: job.wait(3600) if n == 1 else None
    jobs.run(REFRESH, feed="a")
    jobs.run_next()
    for _ in range(3):
        waiting = jobs.run_next()
        assert waiting["headers"]["eta"] is not None
    assert counter.counted == [0, 1]
    jobs.runtime.redis.hset(f"lookalike:job:{only(jobs).id}", "due_at", 0)
    jobs.run_all()
    assert counter.counted == [0, 1, 2, 3, 4]


def test_the_last_hundred_are_remembered(jobs: Jobs, counter: Counter) -> None:
    counter.before = lambda _n, _job: (_ for _ in ()).throw(JobStopped("no"))
    for n in range(103):
        jobs.run(REFRESH, feed=str(n))
    kept = [record.arguments["feed"] for record in jobs.runtime.jobs.list(200)]
    assert kept == [str(n) for n in reversed(range(3, 103))]
    assert len(jobs.runtime.redis.keys("lookalike:job:*")) == 100


def test_a_scope_is_what_is_asked_for_however_it_is_said() -> None:
    assert scope_of({"encoder": None, "scope": {"ids": ["b", "a", "b"]}}) == '{"scope":{"ids":["a","b"]}}'
    long = [scope_of({"scope": {"ids": [f"sku-{n}" for n in range(first, 5000)]}}) for first in (0, 1)]
    assert long[0] != long[1]
    assert max(map(len, long)) < 200


def test_long_arguments_are_cut_in_the_record(jobs: Jobs) -> None:
    jobs.run("catalog.reindex", scope={"ids": [f"sku-{n}" for n in range(5000)]})
    shown = only(jobs).arguments["scope"]["ids"]
    assert (len(shown), shown[-1]) == (17, "... and 4984 more")
