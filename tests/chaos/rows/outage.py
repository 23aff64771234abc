"""Row 4: the index is away, and a share of what the object store answers is wrong."""

import os
import random
import signal
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from tests.chaos import record
from tests.chaos.end import conclude
from tests.chaos.ledger import Ledger
from tests.chaos.result import Result, Size
from tests.chaos.scene import Scene, scene, wait_until
from tests.chaos.traffic import Catalog, Producer, Publishing

STORE_FAILS = 0.3
SERVER, SERVER_PID = "LOOKALIKE_TEST_QDRANT_URL", "LOOKALIKE_TEST_QDRANT_PID"
"""Where both are set, that server is stopped instead of the boundary failing."""


@dataclass(frozen=True)
class Plan:
    away_s: float
    before_s: float
    after_s: float


FULL = Plan(away_s=120.0, before_s=15.0, after_s=15.0)
SHORT = Plan(away_s=10.0, before_s=3.0, after_s=2.0)


@dataclass(frozen=True)
class Seen:
    """What the outage cost."""

    lines: int
    begun: int


def run(size: Size) -> list[Result]:
    plan = SHORT if size.short else FULL
    with scene(LOOKALIKE_LOG__LEVEL="INFO", **_server()) as stage:
        ledger = Ledger()
        name = f"sku{random.randrange(10**6)}"  # a server may know the products of another run
        catalog = Catalog(stage.store, name, 500, 200, random.Random(4))
        probe = Catalog(stage.store, f"{name}-probe", 1, 2, random.Random(5)).upsert(f"{name}-probe")
        producer = Producer(stage, ledger)
        stage.store.fail(STORE_FAILS)
        with Publishing(stage, producer, catalog.message):
            stage.start_worker(wait=True)
            time.sleep(plan.before_s)
            seen = _outage(stage, plan.away_s)
            back_at = time.monotonic()
            producer.send("products.upsert", [probe])
            wait_until("the probe is found", lambda: stage.shows(probe["id"]))
            recovery_s = time.monotonic() - back_at
            time.sleep(plan.after_s)
        producer.close()
        notes = (
            f"index away for {plan.away_s:.0f} s, {STORE_FAILS:.0%} of S3's answers wrong throughout; "
            f"meanwhile {seen.lines} log lines, {seen.begun} bodies begun"
        )
        result = Result("outage", _subject(), 0, recovery_s=recovery_s, notes=notes)
        return [conclude(stage, ledger, result, *_excess(seen, plan))]


def _outage(stage: Scene, away_s: float) -> Seen:
    with _away(stage):
        time.sleep(1)  # what was in hand meets it
        lines, begun = _lines(stage), stage.record.begun()
        time.sleep(away_s - 1)
        return Seen(_lines(stage) - lines, stage.record.begun() - begun)


def _excess(seen: Seen, plan: Plan) -> list[str]:
    """An outage costs a bounded number of lines and attempts, not a share of the messages."""
    most = 50 + 2 * plan.away_s
    counts = {"log lines": seen.lines, "bodies begun": seen.begun}
    return [f"{count} {what} while the index was away" for what, count in counts.items() if count > most]


def _lines(stage: Scene) -> int:
    return stage.log.read_bytes().count(b"\n")


@contextmanager
def _away(stage: Scene) -> Iterator[None]:
    if pid := _server_pid():
        os.kill(pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(pid, signal.SIGCONT)
        return
    stage.record.client.set(record.INDEX_AWAY, "1")
    yield
    stage.record.client.delete(record.INDEX_AWAY)


def _server_pid() -> int | None:
    pid = os.environ.get(SERVER_PID)
    return int(pid) if pid and os.environ.get(SERVER) else None


def _server() -> dict[str, str]:
    """The settings for a Qdrant server, whose index the worker serves as it does its own."""
    if _server_pid() is None:
        return {}
    return {"LOOKALIKE_INDEX__URL": os.environ[SERVER], "LOOKALIKE_WORKER__ALL_IN_ONE": "true"}


def _subject() -> str:
    return "embedded index" if _server_pid() is None else "Qdrant server"
