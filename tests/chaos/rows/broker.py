"""Row 2: redis-server is killed again and again; with every write on the disk, and with one sync a second."""

import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

from tests.chaos.end import conclude
from tests.chaos.ledger import Ledger
from tests.chaos.result import Result, Size
from tests.chaos.scene import Scene, scene, wait_until
from tests.chaos.traffic import Catalog, Producer, Publishing

IN_HAND = 8
"""Messages that the worker may hold when Redis is killed: the next one was claimed after that."""


@dataclass(frozen=True)
class Plan:
    kills: int
    every_s: float


FULL = Plan(kills=30, every_s=10.0)
SHORT = Plan(kills=3, every_s=4.0)


def run(size: Size) -> list[Result]:
    if size.short:
        return [_run(SHORT, "always")]
    with ThreadPoolExecutor(2) as threads:
        return list(threads.map(lambda fsync: _run(FULL, fsync), ("always", "everysec")))


def _run(plan: Plan, fsync: str) -> Result:
    with scene(fsync=fsync) as stage:
        ledger = Ledger()
        catalog = Catalog(stage.store, "sku", 500, 200, random.Random(2))
        producer = Producer(stage, ledger)
        with Publishing(stage, producer, catalog.message) as publishing:
            stage.start_worker(wait=True)
            wait_until("the first body ends", stage.record.ended)
            took_s = [_kill(stage, plan.every_s) for _ in range(plan.kills)]
        producer.close()
        result = Result(
            "broker",
            f"appendfsync {fsync}",
            0,
            plan.kills,
            recovery_s=statistics.median(took_s),
            notes=f"{publishing.failed} calls of the producer raised; "
            f"kill to next body done {min(took_s):.1f} to {max(took_s):.1f} s",
            expected_to_fail=fsync != "always",
        )
        result = conclude(stage, ledger, result)
        return Result(**vars(result) | {"repeats_a_kill": stage.record.repeats() / plan.kills})


def _kill(stage: Scene, every_s: float) -> float:
    """Kill and start again; returns the time from the kill to the end of the next body, in seconds."""
    time.sleep(every_s * random.uniform(0.8, 1.2))
    stage.broker.kill()
    killed_at, ended = time.monotonic(), stage.record.ended()
    stage.broker.start()
    wait_until("messages are claimed again", lambda: stage.record.ended() > ended + IN_HAND)
    return time.monotonic() - killed_at
