"""Row 7: the worker is told to end and replaced, again and again, while a shop publishes."""

import random
import statistics
import time
from dataclasses import dataclass

from tests.chaos.end import conclude
from tests.chaos.ledger import Ledger
from tests.chaos.result import Result, Size
from tests.chaos.scene import Scene, scene, wait_until
from tests.chaos.traffic import Catalog, Producer, Publishing

GRACE_S = 20


@dataclass(frozen=True)
class Plan:
    restarts: int
    products: int


FULL = Plan(restarts=20, products=1000)
SHORT = Plan(restarts=2, products=200)


def run(size: Size) -> list[Result]:
    plan = SHORT if size.short else FULL
    with scene(LOOKALIKE_WORKER__GRACE_S=str(GRACE_S)) as stage:
        ledger = Ledger()
        # A picture that no other upsert has: one that is embedded twice was embedded twice for one product.
        catalog = Catalog(stage.store, "sku", plan.products, None, random.Random(7))
        producer = Producer(stage, ledger)
        problems: list[str] = []
        with Publishing(stage, producer, catalog.message):
            took_s = [_restart(stage, problems) for _ in range(plan.restarts)]
            stage.start_worker(wait=True)
        producer.close()
        result = conclude(stage, ledger, Result("rolling", "lookalike", 0), *problems)
        again, pictures = stage.record.embedded_again(), stage.record.embedded()
        if again:
            problem = f"{again} pictures were embedded twice"
            result = Result(**vars(result) | {"violations": (*result.violations, problem)})
        notes = (
            f"{plan.restarts} restarts, ended {statistics.median(took_s):.1f} s after SIGTERM (median), "
            f"{max(took_s):.1f} s (longest); {pictures:,} pictures embedded, {again} of them twice; "
            f"{stage.record.repeats()} bodies begun again"
        )
        return [Result(**vars(result) | {"notes": notes})]


def _restart(stage: Scene, problems: list[str]) -> float:
    """Start a worker, let it work, and tell it to end; returns what that took, in seconds."""
    worker = stage.start_worker()
    wait_until("the first body ends", lambda: stage.first_ended(worker))
    time.sleep(random.uniform(0.5, 2.5))
    told_at = time.monotonic()
    code = worker.stop(within_s=3 * GRACE_S)
    took_s = time.monotonic() - told_at
    if code != 0 or took_s > GRACE_S:
        problems.append(f"it ended with code {code}, {took_s:.1f} s after SIGTERM")
    if left := stage.record.in_flight(worker.pid):
        problems.append(f"{left} bodies had begun and not ended when it ended")
    if orphans := worker.orphans():
        problems.append(f"outlived their worker: {orphans}")
    return took_s
