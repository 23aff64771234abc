"""Row 1: a worker is killed at a random moment, again and again, while a shop publishes."""

import random
import statistics
import time
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field

from tests.chaos.end import conclude
from tests.chaos.ledger import Ledger
from tests.chaos.record import TRANSPORT
from tests.chaos.result import Result, Size
from tests.chaos.scene import Scene, Worker, scene, wait_until
from tests.chaos.takeover import TakeOvers
from tests.chaos.traffic import Catalog, Producer, Publishing
from tests.chaos.watch import Watch


@dataclass(frozen=True)
class Plan:
    kills: int
    messages: int
    products: int
    within_s: float
    """A worker is killed so soon after it took work up again, at the latest."""


FULL = Plan(kills=100, messages=20_000, products=2000, within_s=5.0)
SHORT = Plan(kills=4, messages=0, products=300, within_s=2.0)


@dataclass
class Seen:
    """What the killer measured."""

    in_flight: list[int] = field(default_factory=list)
    """Bodies begun and not ended, by kill."""
    resumed_s: list[float] = field(default_factory=list)
    """From a kill to the end of the next worker's first body."""
    problems: list[str] = field(default_factory=list)


def run(size: Size) -> list[Result]:
    plan = SHORT if size.short else FULL
    with ThreadPoolExecutor(2) as threads:
        ours = threads.submit(_run, plan, "lookalike", "")
        stock = threads.submit(_run, plan, "kombu's transport", "redis")
        return [ours.result(), stock.result()]


def _run(plan: Plan, subject: str, transport: str) -> Result:
    with scene(**{TRANSPORT: transport}) as stage, TakeOvers(stage) as taken:
        ledger, seen = Ledger(), Seen()
        catalog = Catalog(stage.store, "sku", plan.products, 400, random.Random(1))
        producer = Producer(stage, ledger)
        with Publishing(stage, producer, catalog.message), Watch(stage, ledger) as watch:
            worker = _kill_often(stage, plan, ledger, seen, taken)
        producer.close()
        wait_until("the worker serves", lambda: stage.serves(worker))
        kills = len(seen.in_flight)
        result = Result("kills", subject, 0, kills, expected_to_fail=bool(transport))
        result = conclude(stage, ledger, result, *seen.problems, *watch.problems)
        measured = {
            "stale": result.stale + len(watch.problems),
            "repeats_a_kill": stage.record.repeats() / kills,
            "recovery_s": statistics.median(seen.resumed_s),
            "notes": _notes(stage, watch, seen, taken),
        }
        problems = (*result.violations, *taken.problems)
    return Result(**vars(result) | measured | {"violations": problems})


def _kill_often(stage: Scene, plan: Plan, ledger: Ledger, seen: Seen, taken: TakeOvers) -> Worker:
    """Kill until there were enough; a kill that meets nothing in flight does not count. Returns what runs."""
    worker = stage.start_worker()
    wait_until("the first body ends", lambda: stage.first_ended(worker))
    while len(seen.in_flight) < plan.kills or ledger.messages < plan.messages:
        taken.working.set()
        time.sleep(random.uniform(0.0, plan.within_s))
        worker.kill()
        killed_at = time.time()
        taken.killed()
        if orphans := worker.orphans():
            seen.problems.append(f"outlived the kill: {orphans}")
        met = stage.record.in_flight(worker.pid)
        worker = stage.start_worker()
        ended_at = wait_until("work is taken up", lambda w=worker: stage.first_ended(w))
        if met:
            seen.in_flight.append(met)
            seen.resumed_s.append(ended_at - killed_at)
    taken.working.set()
    return worker


def _notes(stage: Scene, watch: Watch, seen: Seen, taken: TakeOvers) -> str:
    said = stage.log.read_text(errors="replace")
    settings = next(line for line in said.splitlines() if line.startswith("settings: "))
    return (
        f"{watch.looks:,} looks meanwhile; "
        f"bodies in flight at a kill {min(seen.in_flight)} to {max(seen.in_flight)}; "
        f"kill to next body done {min(seen.resumed_s):.1f} to {max(seen.resumed_s):.1f} s; "
        f"taken over after {taken}; {settings}"
    )
