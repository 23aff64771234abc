"""Row 6: one message in a hundred is bad, in every way that we know; the others go on."""

import random
import statistics
import time
from dataclasses import dataclass

from tests.chaos.background import Background
from tests.chaos.end import conclude
from tests.chaos.ledger import Ledger, read_letters
from tests.chaos.poison import Poisoner
from tests.chaos.result import Result, Size
from tests.chaos.scene import Scene, scene, wait_until
from tests.chaos.traffic import Catalog, Producer, Publishing

BURIED_WITHIN_S = 240


@dataclass(frozen=True)
class Plan:
    rounds: int
    lethal: tuple[str, ...]
    healthy_for_each: int
    a_second: float


FULL = Plan(rounds=4, lethal=("exit", "segfault", "memory", "hang"), healthy_for_each=99, a_second=100)
SHORT = Plan(rounds=1, lethal=("exit", "memory"), healthy_for_each=25, a_second=50)


def run(size: Size) -> list[Result]:
    plan = SHORT if size.short else FULL
    with scene(LOOKALIKE_WORKER__DEADLINE_S="10") as stage, _Supervisor(stage) as supervisor:
        ledger = Ledger()
        dice = random.Random(6)
        catalog = Catalog(stage.store, "sku", 500, 200, dice)
        neighbours = Catalog(stage.store, "near", 1, 50, random.Random(7))
        producer = Producer(stage, ledger)
        poisoner = Poisoner(stage, ledger, producer, neighbours)
        wait_until("the worker serves", stage.serves)
        started, ended = time.monotonic(), stage.record.ended()
        publishing = Publishing(stage, producer, catalog.message, a_second=plan.a_second)
        with publishing, _Probes(stage, producer) as probes:
            _poison(poisoner, plan, dice)
            late = _wait_until_buried(stage, ledger)
            rate = (stage.record.ended() - ended) / (time.monotonic() - started)
        wait_until("the worker serves", stage.serves)
        producer.close()
        notes = (
            f"{poisoner.count} bad ones; meanwhile {rate:.0f} bodies/s, and healthy products found "
            f"after {statistics.median(probes.took_s):.1f} s (median), {max(probes.took_s):.1f} s (longest)"
        )
        result = conclude(
            stage, ledger, Result("poison", "lookalike", 0, supervisor.deaths, notes=notes), *late
        )
        return [result]


def _poison(poisoner: Poisoner, plan: Plan, dice: random.Random) -> None:
    """Every kind once a round, each after so many healthy messages; the lethal, which take longest, first."""
    for _ in range(plan.rounds):
        kinds = poisoner.kinds()
        for poison in (*poisoner.lethal(plan.lethal), *dice.sample(kinds, len(kinds))):
            due = (poisoner.count + 1) * plan.healthy_for_each
            wait_until("the healthy are published", lambda due=due: poisoner.ledger.messages >= due)
            poison()


def _wait_until_buried(stage: Scene, ledger: Ledger) -> list[str]:
    until = time.monotonic() + BURIED_WITHIN_S
    while read_letters(ledger.causes, stage.letters()).missing:
        if time.monotonic() > until:
            return [f"not all of it is in the dead letters after {BURIED_WITHIN_S} s"]
        time.sleep(0.5)
    return []


class _Supervisor(Background):
    """Starts a worker whenever there is none, as an orchestrator does."""

    def __init__(self, stage: Scene) -> None:
        super().__init__()
        self._stage = stage
        self.deaths = 0

    def work(self) -> None:
        worker = self._stage.start_worker()
        while not self.ends.wait(0.1):
            if worker.process.poll() is not None:
                self.deaths += 1
                worker = self._stage.start_worker()


class _Probes(Background):
    """Healthy products, one after the other, and how long each takes until it is found."""

    def __init__(self, stage: Scene, producer: Producer) -> None:
        super().__init__()
        self._stage = stage
        self._producer = producer
        self.took_s: list[float] = []

    def work(self) -> None:
        catalog = Catalog(self._stage.store, "probe", 1, 20, random.Random(8))
        while not self.ends.is_set():
            document = catalog.upsert(f"probe-{len(self.took_s)}")
            self._producer.send("products.upsert", [document])
            sent_at = time.monotonic()
            wait_until("a healthy product is found", lambda d=document: self._stage.shows(d["id"]), 300)
            self.took_s.append(time.monotonic() - sent_at)
            self.ends.wait(1)
