"""`celery -A tests.integration.worker.counting_app worker`: the shipped app, and a job that counts, slowly.

What a killed worker had in hand is taken over within seconds. To import this configures the app.
"""

import time
from collections.abc import Generator
from typing import Any

from celery import Task

from worker.celery import app
from worker.delivery import Delivery, deliver
from worker.jobs.book import scope_of
from worker.jobs.steps import Job, Position, run_job

app.conf.broker_transport_options = {
    **app.conf.broker_transport_options,
    "visibility_timeout": 3,
    "unacked_restore_interval": 1,
}


class At(Position):
    """The next number."""

    n: int = 0


def count_job(delivery: Delivery) -> None:
    """Count to `to`, into a list in Redis, a number a part."""

    def work(position: At, job: Job) -> Generator[At, None, None]:
        job.phase("counting", delivery.kwargs["to"])
        for n in range(position.n, delivery.kwargs["to"]):
            delivery.runtime.redis.rpush("counted", n)
            time.sleep(0.02)
            job.done(n + 1)
            job.report["last"] = n
            yield At(n=n + 1)

    run_job(delivery, scope_of(delivery.kwargs), At(), work)


@app.task(name="tests.count", bind=True, typing=False)
def count(task: Task, /, *args: Any, **kwargs: Any) -> None:
    """A job that counts."""
    deliver(task, args, kwargs, count_job)
