"""What a shop publishes: upserts, patches and deletes of chance, by a stock Celery producer."""

import random
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import redis
from celery import Celery
from kombu.exceptions import OperationalError

from tests.chaos import pictures
from tests.chaos.background import Background
from tests.chaos.fold import Document, Kind
from tests.chaos.ledger import Ledger
from tests.chaos.object_store import ObjectStore
from tests.chaos.scene import Scene

COLOURS = ("red", "green", "blue", "gold")
FAILURES = (OperationalError, redis.RedisError, OSError)
BATCH = 10
"""Messages that are published between two looks at the queue."""
OVERTAKEN = 8
"""Messages that are kept back, each to be sent after a chance number of later ones."""


@dataclass
class Catalog:
    """Draws events of a fixed set of products; every event has a version of its own."""

    store: ObjectStore
    name: str
    products: int
    pictures: int | None
    """How many different pictures there are; None gives every upsert one that no other has."""
    dice: random.Random
    _versions: dict[str, int] = field(default_factory=lambda: defaultdict(int))
    _uris: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        for _ in range(self.pictures or 0):
            self._draw()

    def message(self, most: int = 4) -> tuple[Kind, list[Document]]:
        """One message of 1 to `most` products."""
        kind: Kind = self.dice.choices(
            ("products.upsert", "products.patch", "products.delete"), weights=(60, 30, 10)
        )[0]
        chosen = self.dice.sample(range(self.products), self.dice.randint(1, most))
        return kind, [self._document(kind, f"{self.name}-{number}") for number in chosen]

    def upsert(self, identity: str, *images: str) -> Document:
        """An upsert with these images, or some of the catalog's."""
        self._versions[identity] += self.dice.randint(1, 1000)
        dice = self.dice
        return {
            "id": identity,
            "version": self._versions[identity],
            "images": list(images) or self._images(),
            "category": dice.choice(("women/shoes", "women/shoes/boots", "home")),
            **{name: value for name, value in self._fields().items() if dice.random() < 0.8},
        }

    def _document(self, kind: Kind, identity: str) -> Document:
        if kind == "products.upsert":
            return self.upsert(identity)
        self._versions[identity] += self.dice.randint(1, 1000)
        document: Document = {"id": identity, "version": self._versions[identity]}
        if kind == "products.patch":
            fields = self._fields()
            chosen = self.dice.sample(sorted(fields), self.dice.randint(1, 3))
            document |= {name: self._or_null(fields[name]) for name in chosen}
        return document

    def _fields(self) -> Document:
        dice = self.dice
        return {
            "title": f"Thing {dice.randrange(10**6)}",
            "brand": dice.choice(("Acme", "Bolt", None)),
            "price": float(dice.randrange(1, 10**4)) / 100,
            "currency": "EUR",
            "in_stock": dice.random() < 0.7,
            "group_id": dice.choice(("style-1", "style-2", None)),
            "attributes": {
                "colour": dice.choice(COLOURS),
                f"note{dice.randrange(3)}": dice.randrange(100),
            },
        }

    def _or_null(self, value: Any) -> Any:
        """What a patch says of a field: now and then that it, or one of its keys, is cleared."""
        if isinstance(value, dict) and self.dice.random() < 0.3:
            return value | {self.dice.choice(sorted(value)): None}
        return None if self.dice.random() < 0.1 else value

    def _images(self) -> list[str]:
        if self.pictures is None:
            return [self._draw()]
        return self.dice.sample(self._uris, self.dice.randint(1, 2))

    def _draw(self) -> str:
        number = len(self._uris)
        uri = self.store.put(f"{self.name}/{number}.jpg", pictures.draw(self.dice.randrange(10**9)))
        self._uris.append(uri)
        return uri


class Producer:
    """A shop's backend: Celery, a broker's address, and nothing of ours. Notes what it published."""

    def __init__(self, scene: Scene, ledger: Ledger) -> None:
        self._app = Celery("shop", broker=scene.broker.url, set_as_current=False)
        self._app.conf.broker_transport_options = {"socket_timeout": 5, "socket_connect_timeout": 5}
        self._ledger = ledger

    def send(self, kind: Kind, documents: list[Document], bad: Sequence[Any] = ()) -> bool:
        """Publish one message; answers whether the call returned. `bad` go with it, and not into the book."""
        try:
            self._app.send_task(kind, args=[[*documents, *bad]], queue="products", retry=False)
        except FAILURES:
            self._ledger.note(kind, documents, held=False)
            return False
        self._ledger.note(kind, documents, held=True)
        return True

    def close(self) -> None:
        self._app.close()


class Publishing(Background):
    """Publishes on a thread of its own as long as its context is open.

    Args:
        scene: whose broker.
        producer: publishes.
        message: draws a message.
        waiting: how many messages are waiting at most; without a rate, at least too.
        a_second: how many messages are published in a second at most; None: as many as are worked off.
    """

    def __init__(
        self,
        scene: Scene,
        producer: Producer,
        message: Callable[[], tuple[Kind, list[Document]]],
        waiting: int = 200,
        a_second: float | None = None,
    ) -> None:
        super().__init__()
        self._producer = producer
        self._message = message
        self._waiting = waiting
        self._pause_s = BATCH / a_second if a_second else 0.0
        self._broker = redis.Redis.from_url(scene.broker.url, socket_timeout=5)
        self.failed = 0
        """Calls that raised."""

    def work(self) -> None:
        late: list[Any] = []
        with self._broker:
            while not self.ends.is_set():
                if self._may_publish():
                    self._publish(late)
                    self.ends.wait(self._pause_s)
            for message in late:
                self._send(message)

    def _may_publish(self) -> bool:
        try:
            room = int(self._broker.llen("products")) < self._waiting
        except redis.RedisError:
            room = False
        if not room:
            time.sleep(0.02)
        return room

    def _publish(self, late: list[Any]) -> None:
        """Some messages at once, not in the order in which they were made."""
        for _ in range(BATCH):
            late.append(self._message())
            if len(late) > OVERTAKEN:
                self._send(late.pop(random.randrange(len(late))))

    def _send(self, message: tuple[Kind, list[Document]]) -> None:
        if not self._producer.send(*message):
            self.failed += 1
