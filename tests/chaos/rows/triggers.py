"""Row 8: three beats, two stream consumers and a worker, killed at random: each trigger once, none lost."""

import json
import random
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Any

from config.settings import PREFIX
from tests.chaos.end import conclude, drain
from tests.chaos.ledger import Ledger
from tests.chaos.result import Result, Size
from tests.chaos.scene import Scene, scene, wait_until
from tests.chaos.traffic import Catalog
from tests.chaos.triggers.crew import ALL, STREAMS, Crew, order_of_kills
from tests.chaos.triggers.entries import Entries, given, pending
from tests.chaos.triggers.names import BEGUN, SENT, SLOT_S
from tests.chaos.triggers.slots import Slots
from tests.chaos.triggers.store import BUCKET, FEED, Store


@dataclass(frozen=True)
class Plan:
    kills: int
    pause_s: tuple[float, float]


SUBJECT = "3 beats, 2 stream consumers, 1 worker"
FULL = Plan(kills=30, pause_s=(1.0, 6.0))
SHORT = Plan(kills=6, pause_s=(0.2, 2.0))


def run(size: Size) -> list[Result]:
    plan, chance = SHORT if size.short else FULL, random.Random()
    with Store() as store, _stage(store) as stage:
        crew, ledger = Crew(stage), Ledger()
        catalog = Catalog(store, "streamed", 200, 40, chance)  # type: ignore[arg-type]  # it draws from any store
        entries = Entries(stage, store, ledger, catalog, every_s=0.02)
        try:
            for name in ALL:
                crew.start(name)
            repairable = entries.add_repairable()
            wait_until("the worker serves", lambda: stage.serves(crew.running["worker"]))
            wait_until("they are there", lambda: all(_is_there(stage, one) for one in repairable))
            wait_until("the feed is read", lambda: store.reads)
            with entries:
                for name in order_of_kills(plan.kills, chance):
                    _kill(crew, store, name, chance.uniform(*plan.pause_s))
            return [_conclude(crew, store, ledger)]
        finally:
            crew.end()


@contextmanager
def _stage(store: Store) -> Iterator[Scene]:
    feeds = {
        "S3__ENDPOINT_URL": store.url,
        "FEED__ALLOWED": json.dumps([f"s3://{BUCKET}/feeds/"]),
        "FEED__SCHEDULED": f"s3://{BUCKET}/{FEED}",
    }
    with scene(**{f"{PREFIX}{name}": value for name, value in feeds.items()}) as stage:
        yield replace(stage, store=store)  # type: ignore[arg-type]  # it has what the end of a row asks for


def _is_there(stage: Scene, identity: str) -> bool:
    return stage.shows(identity)


def _kill(crew: Crew, store: Store, name: str, pause_s: float) -> None:
    """Kill one after a pause: a worker that has just claimed a slot, a consumer with entries in hand."""
    time.sleep(pause_s)
    if name == "worker":
        wait_until("the feed is being read", lambda: store.starting)
    elif name in STREAMS:
        wait_until(f"{name} is given entries", lambda: given(crew.stage, crew.running[name].pid))
    crew.kill(name)


def _conclude(crew: Crew, store: Store, ledger: Ledger) -> Result:
    stage, quiet_at = crew.stage, time.monotonic()
    wait_until("the worker serves", lambda: stage.serves(crew.running["worker"]))
    crew.end_beats()
    wait_until("the stream is worked off", lambda: not pending(stage))
    if undone := drain(stage):
        return Result("triggers", SUBJECT, ledger.messages, len(crew.kills), violations=(undone,))
    recovery_s = time.monotonic() - quiet_at
    kills = Counter(role for role, _ in crew.kills)
    slots = _slots(crew, store)
    # What a killed run has read may be published, in part; what the last one read must be.
    for readings in slots.readings.values():
        for read in readings:
            ledger.note("products.upsert", store.documents(read.reading), held=read == readings[-1])
    result = Result(
        "triggers",
        SUBJECT,
        0,
        len(crew.kills),
        repeats_a_kill=stage.record.repeats() / kills["worker"],
        recovery_s=recovery_s,
        notes=f"killed: {dict(kills)}, workers with a slot just claimed, consumers with entries in hand; "
        f"{len(slots.sent)} scheduled messages, {len(slots.readings)} effective runs, slots of {SLOT_S} s",
    )
    return conclude(stage, ledger, result, *slots.violations())


def _slots(crew: Crew, store: Store) -> Slots:
    client: Any = crew.stage.record.client
    kills = [at for role, at in crew.kills if role == "worker"]
    return Slots.of(client.lrange(SENT, 0, -1), client.lrange(BEGUN, 0, -1), store.reads, kills)
