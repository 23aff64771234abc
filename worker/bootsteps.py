"""The worker's composition root: what a Celery worker process opens before it consumes."""

import logging
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from os import getpid
from typing import Any

from celery import bootsteps, signals
from celery.concurrency.thread import TaskPool

from config.settings import ConfigurationError, Settings, load_settings
from recommender.api.app import create_app
from recommender.api.serve import serve_in_thread
from recommender.errors import LookalikeError, ShuttingDown
from worker.background import run_in_background
from worker.metrics_server import metrics_served
from worker.owner import Owner, leave_address, new_token
from worker.runtime import Runtime, open_runtime
from worker.schedule import Schedule
from worker.stopping import stops_within
from worker.stream import StreamConsumer
from worker.watchdog import Watchdog

log = logging.getLogger(__name__)


class OpenRuntime(bootsteps.StartStopStep):
    """Opens the runtime once per process; closes it when the last task has ended."""

    requires = ("celery.worker.components:Pool",)

    def __init__(self, worker: Any, **_: Any) -> None:
        super().__init__(worker)
        self._stack = ExitStack()

    def start(self, worker: Any) -> None:
        """Open everything, in the worker's main thread; waits for what is away, ends where all is wrong."""
        try:
            settings = load_settings()
            with ExitStack() as stack:
                stack.enter_context(_opened(worker, settings))
                self._stack = stack.pop_all()
        except ShuttingDown as error:
            raise SystemExit(0) from error
        except (LookalikeError, ConfigurationError) as error:
            sys.stderr.write(f"lookalike: {type(error).__name__}: {error}\n")
            raise SystemExit(1) from error

    def stop(self, worker: Any) -> None:
        """Close everything; blocks until the tasks in hand have ended, for the grace period at most."""
        worker.pool.stop()  # celery stops it after this step, and once more does no harm
        self._stack.close()

    terminate = stop


@contextmanager
def _opened(worker: Any, settings: Settings) -> Iterator[None]:
    if not issubclass(worker.pool_cls, TaskPool):
        raise ConfigurationError("the encoder is resident in one process: use -P threads")
    app = worker.app
    with ExitStack() as stack:
        runtime = stack.enter_context(open_runtime(settings, stops_within))
        stack.enter_context(_told_to_shut_down(runtime.watchdog))
        if settings.worker.all_in_one:
            stack.enter_context(run_in_background("stream", StreamConsumer(app, settings)))
            stack.enter_context(run_in_background("schedule", Schedule(app)))
        if settings.worker.all_in_one or settings.index_is_embedded:
            stack.enter_context(_served(runtime))
        else:
            stack.enter_context(metrics_served(settings))
        yield


@contextmanager
def _told_to_shut_down(watchdog: Watchdog) -> Iterator[None]:
    """Have bodies end early after SIGTERM, and the grace period begin."""

    def shut_down(**_: Any) -> None:
        watchdog.shut_down()

    signals.worker_shutting_down.connect(shut_down)
    try:
        yield
    finally:
        signals.worker_shutting_down.disconnect(shut_down)


@contextmanager
def _served(runtime: Runtime) -> Iterator[None]:
    """The API on a thread of this process, since nobody else can open the embedded index."""
    settings, token = runtime.settings, new_token()
    api = create_app(runtime.resources, settings, extra_keys=(token,))
    server = serve_in_thread(api, settings.api.host, settings.api.port)
    try:
        owner = Owner(server.url, token, settings.redis_url, getpid())
        with leave_address(settings.data_dir, owner):
            log.info("api_serving", extra={"url": server.url})
            yield
    finally:
        server.stop()
