"""What one worker process owns: opened once before the first message, closed after the last."""

import gc
import math
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

from redis import Redis

from config.settings import Settings
from recommender import metrics
from recommender.errors import BrokerUnavailable
from recommender.resources import Resources, open_resources
from recommender.swap_state import SwapBook
from recommender.waiting import Stopped
from worker.breaker import Breakers
from worker.broker import reached_redis
from worker.deliveries import Deliveries
from worker.isolation import ImageProcess
from worker.jobs.book import JobBook
from worker.jobs.dead_letters import DeadLetters
from worker.pipelines import Pipelines
from worker.watchdog import Watchdog


@dataclass(frozen=True, slots=True)
class Runtime:
    """Shared by all tasks of the process; every part is thread-safe."""

    settings: Settings
    resources: Resources
    pipelines: Pipelines
    dead_letters: DeadLetters
    redis: Redis
    jobs: JobBook
    swaps: SwapBook
    deliveries: Deliveries
    breakers: Breakers
    watchdog: Watchdog
    image_process: ImageProcess


_open: list[Runtime] = []


@contextmanager
def open_runtime(settings: Settings, stopped: Stopped) -> Iterator[Runtime]:
    """Open everything, make it this process's runtime, and close it at the end; waits for what is away.

    Raises:
        StartupError: the process must not start.
        ShuttingDown: `stopped` said so while it waited.
    """
    with (
        Watchdog(settings.worker.deadline_s, settings.worker.grace_s) as watchdog,
        reached_redis(settings, stopped) as client,
        open_resources(settings, stopped=stopped, following="worker") as resources,
        Breakers() as breakers,
        closing(ImageProcess(settings)) as image_process,
    ):
        runtime = Runtime(
            settings,
            resources,
            Pipelines(resources.source, settings, breakers),
            DeadLetters(client, settings.catalog, settings.worker.dead_letters_alarm),
            client,
            JobBook(client, settings.catalog, settings.redis.key_prefix or ""),
            SwapBook(client, settings.catalog),
            Deliveries(client, settings.redis.key_prefix or ""),
            breakers,
            watchdog,
            image_process,
        )
        metrics.JOBS_RUNNING.set_function(lambda: _running(runtime.jobs))
        gc.freeze()  # what was loaded stays: looking for garbage in it would stop every thread for a while
        _open.append(runtime)
        try:
            yield runtime
        finally:
            _open.remove(runtime)
            metrics.JOBS_RUNNING.set_function(lambda: 0)


def _running(jobs: JobBook) -> float:
    try:
        return jobs.running()
    except BrokerUnavailable:
        return math.nan


def current_runtime() -> Runtime:
    """The runtime of this process.

    Raises:
        RuntimeError: none is open: the task runs outside of a worker.
    """
    if not _open:
        raise RuntimeError("no runtime is open: tasks run in a worker only, never eagerly")
    return _open[-1]
