"""What producers put on the stream while everything is killed: events, jobs, and what is neither."""

import itertools
import json
import random
from typing import Any

import redis

from tests.chaos.background import Background
from tests.chaos.ledger import Ledger
from tests.chaos.pictures import draw
from tests.chaos.scene import Scene
from tests.chaos.traffic import Catalog
from tests.chaos.triggers.store import Store

STREAM = "lookalike:events"
REPAIRED = 12
"""Products whose picture is replaced: only a reindex of them can show it."""


class Entries(Background):
    """Adds entries on a thread of its own, each XADD noted in the book once it has returned."""

    def __init__(self, stage: Scene, store: Store, ledger: Ledger, catalog: Catalog, every_s: float) -> None:
        super().__init__()
        self._client = redis.Redis.from_url(stage.broker.url)
        self._store = store
        self._ledger = ledger
        self._catalog = catalog
        self._every_s = every_s
        self._numbers = itertools.count()
        self._to_repair = [f"repaired-{n}" for n in range(REPAIRED)]

    def add_repairable(self) -> list[str]:
        """The products that a reindex will repair; their ids."""
        for identity in self._to_repair:
            uri = self._store.put(f"{identity}.jpg", draw(random.randrange(10**9)))
            document = self._catalog.upsert(identity, uri)
            self._add("products.upsert", [document])
            self._ledger.note("products.upsert", [document], held=True)
        return list(self._to_repair)

    def work(self) -> None:
        kinds = (self._event, self._event, self._event, self._refresh, self._reindex, self._malformed)
        with self._client:
            for kind in itertools.cycle(kinds):
                if self.ends.wait(self._every_s):
                    break
                kind()
            while self._to_repair:
                self._reindex()

    def _event(self) -> None:
        kind, documents = self._catalog.message()
        self._add(kind, documents if len(documents) > 1 else documents[0])
        self._ledger.note(kind, documents, held=True)

    def _refresh(self) -> None:
        number = next(self._numbers)
        documents = [self._catalog.upsert(f"fed-{number}-{n}") for n in range(3)]
        lines = "".join(f"{json.dumps(document)}\n" for document in documents)
        uri = self._store.put(f"feeds/{number}.jsonl", lines.encode())
        self._add("catalog.refresh", {"feed": uri})
        self._ledger.note("products.upsert", documents, held=True)

    def _reindex(self) -> None:
        if not self._to_repair:
            return
        identity = self._to_repair.pop()
        self._store.put(f"{identity}.jpg", draw(random.randrange(10**9)))
        self._add("catalog.reindex", {"scope": {"ids": [identity]}})
        self._ledger.messages += 1

    def _malformed(self) -> None:
        token = f"malformed-{next(self._numbers)}-"
        fields = random.choice(
            [
                {"type": f"products.{token}", "data": "[]"},
                {"type": "products.upsert", "data": f"{{{token}"},
                {"type": "catalog.refresh", "data": json.dumps([token])},
                {"type": "products.delete", "data": json.dumps(token)},
                {"kind": "products.upsert", "data": json.dumps([{"id": token}])},
            ]
        )
        self._client.xadd(STREAM, fields)  # type: ignore[arg-type]  # its dict is invariant
        self._ledger.inject(token, "InvalidEvent")
        self._ledger.messages += 1

    def _add(self, kind: str, data: Any) -> None:
        self._client.xadd(STREAM, {"type": kind, "data": json.dumps(data)})


def pending(stage: Scene) -> int:
    """Entries that no consumer has read, or none has acknowledged."""
    with stage.broker_client() as client:
        groups: Any = client.xinfo_groups(STREAM)
        unread = client.xrange(STREAM, min=f"({groups[0]['last-delivered-id']}")
        return len(unread) + int(groups[0]["pending"])


def given(stage: Scene, pid: int) -> int:
    """Entries that the consumer of this process was given and has not acknowledged."""
    with stage.broker_client() as client:
        consumers: Any = client.xinfo_consumers(STREAM, "celery")
        return sum(one["pending"] for one in consumers if one["name"].endswith(f"-{pid}"))
