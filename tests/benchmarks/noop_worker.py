"""The shipped Celery app with a body that does nothing: what Celery and Redis cost by themselves.

`celery -A tests.benchmarks.noop_worker worker -P threads`; claims, counts and acknowledges as ever.
"""

import logging

from worker import tasks
from worker.celery import app
from worker.delivery import Delivery

__all__ = ["app"]
log = logging.getLogger("worker.products")


def nothing(delivery: Delivery) -> None:
    """The line that the benchmark waits for."""
    count = len(delivery.args[0])
    stages = dict.fromkeys(("plan_ms", "fetch_ms", "decode_ms", "embed_ms", "write_ms"), 0.0)
    extra = {"applied": count, "unchanged": 0, "stale": 0, "embedded": 0, **stages}
    log.info("message_applied", extra=extra)


tasks.apply_products = nothing
