"""Workers that are killed in the midst of a job, which goes on at the same record."""

from itertools import groupby
from typing import Any

import redis

from worker.jobs.book import JobBook

APP, COUNTED = "tests.integration.worker.counting_app", "counted"
TO = 300


def test_a_job_goes_on_at_the_record_where_its_worker_was_killed(start_worker: Any, wait_for: Any) -> None:
    shop = start_worker(app=APP)
    with redis.Redis.from_url(shop.redis_url, decode_responses=True) as client:
        book = JobBook(client, "lookalike")
        shop.send("tests.count", queue="catalog", to=TO)
        reached = []
        for kill_at in (40, 140):
            wait_for("it is in the midst", lambda at=kill_at: client.llen(COUNTED) >= at)
            shop.process.kill()
            shop.process.wait(10)
            (record,) = book.list()
            assert record.state == "running"
            reached.append(record.done)
            shop = start_worker(app=APP)
        wait_for("it has ended", lambda: book.list()[0].state != "running")
        (record,) = book.list()
        counted = [int(n) for n in client.lrange(COUNTED, 0, -1)]
    assert (record.state, record.done, record.report) == ("done", TO, {"last": TO - 1})
    assert [n for n, _ in groupby(counted)] == list(range(TO))
    repeated = [n for n, copies in groupby(counted) if len(list(copies)) > 1]
    assert set(repeated) <= set(reached)  # the one part that was done, and not written down
    assert shop.dead_letters() == []
    assert shop.stop() == 0
    assert shop.in_hand() == 0
