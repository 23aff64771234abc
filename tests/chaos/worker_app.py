"""`python -m tests.chaos.worker_app worker -P threads ...`: the shipped Celery app with the harness's faults.

The faults are in place once this module is imported, so that they are in the child too that a worker spawns
for images in quarantine: it imports its parent's main module.
"""

import os
import sys
import time
from typing import TYPE_CHECKING, Any

from tests.chaos import faults, record

if TYPE_CHECKING:
    import redis

_client = record.connect(os.environ[record.URL])
faults.install(_client)


class Recorder:
    """Writes down what this worker does. Any thread may call it."""

    def __init__(self, client: "redis.Redis") -> None:
        self._client = client
        self._pid = os.getpid()

    def listen(self) -> None:
        """Note every body that begins and ends."""
        from celery import signals  # noqa: PLC0415  # the child has no use for it

        signals.task_prerun.connect(self._begins, weak=False)
        signals.task_postrun.connect(self._ends, weak=False)

    def _begins(self, task: Any, **_: Any) -> None:
        tag = task.request.properties["delivery_tag"]
        with self._client.pipeline(transaction=False) as pipe:
            pipe.hincrby(record.BEGUN, tag, 1)
            pipe.hset(f"{record.OPEN}:{self._pid}", tag, repr(time.time()))
            pipe.execute()

    def _ends(self, task: Any, **_: Any) -> None:
        tag = task.request.properties["delivery_tag"]
        with self._client.pipeline(transaction=False) as pipe:
            pipe.hdel(f"{record.OPEN}:{self._pid}", tag)
            pipe.incr(record.ENDED)
            pipe.setnx(f"{record.FIRST_ENDED}:{self._pid}", repr(time.time()))
            pipe.execute()


def main() -> None:
    faults.install_in_worker(_client)
    from worker import isolation  # noqa: PLC0415
    from worker.celery import app  # noqa: PLC0415

    app.conf.broker_transport_options = {
        **app.conf.broker_transport_options,
        "visibility_timeout": record.VISIBILITY_TIMEOUT_S,
        "unacked_restore_interval": 1,
        "unacked_mutex_expire": 3,
    }
    app.conf.broker_transport = os.environ.get(record.TRANSPORT) or app.conf.broker_transport
    isolation.READ_WITHIN_S = record.HANGS_AFTER_S
    Recorder(_client).listen()
    _tell_settings(app)
    app.start(argv=sys.argv[1:])


def _tell_settings(app: Any) -> None:
    """One line, for the row that compares transports; what only our transport knows is left out."""
    names = ("broker_transport", "task_acks_late", "worker_concurrency", "worker_prefetch_multiplier")
    options = app.conf.broker_transport_options
    known = ("visibility_timeout", "unacked_restore_interval", "unacked_mutex_expire", "socket_timeout")
    told = {name: app.conf[name] for name in names} | {name: options[name] for name in known}
    print(f"settings: {told}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
