"""What a shop does while the model is swapped: events and questions at a steady rate, and a book of both."""

import http.client
import itertools
import json
import random
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from celery import Celery

from tests.benchmarks.swap_pictures import FAMILY, uri_of

NEW_IMAGES = 0.1
LIMIT = 10
Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Sent:
    """One event, by whom it was published: its message's id, and when."""

    message: str
    kind: str
    document: Document
    at: float


@dataclass(frozen=True, slots=True)
class Asked:
    """One question and what came of it, with its times by `time.time`."""

    seed: str
    begun_at: float
    ended_at: float
    status: int
    answer: Document


@dataclass
class Catalog:
    """The shop's own book: versions, and every event by product. Used by one thread at a time."""

    products: int
    pictures: int
    events: dict[str, list[Sent]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._chance = random.Random(1)  # noqa: S311  # chance without secrets
        self._version = time.time_ns() // 1_000_000
        self._fresh = itertools.cycle(range(self.products, self.pictures))
        self._image = {f"p{n}": n for n in range(self.products)}

    def first(self) -> Iterator[Document]:
        """Every product once, as an upsert; not noted before it is sent."""
        return (self._upsert(f"p{n}", n) for n in range(self.products))

    def next(self) -> tuple[str, Document]:
        """Another event: patches, upserts, a tenth with new images, some deletes and returns."""
        product, drawn = f"p{self._chance.randrange(self.products)}", self._chance.random()
        if drawn < NEW_IMAGES:
            self._image[product] = next(self._fresh)
            return "products.upsert", self._upsert(product, self._image[product])
        if drawn < 0.25:
            return "products.upsert", self._upsert(product, self._image[product])
        if drawn < 0.28:
            return "products.delete", {"id": product, "version": self._newer()}
        version = self._newer()
        said = {"id": product, "version": version, "title": f"v{version}", "price": self._price()}
        return "products.patch", said

    def note(self, sent: Sent) -> None:
        """Write an event down that was published."""
        self.events.setdefault(sent.document["id"], []).append(sent)

    def _upsert(self, product: str, picture: int) -> Document:
        version = self._newer()
        return {
            "id": product,
            "version": version,
            "images": [uri_of(picture)],
            "category": f"bench/{picture % 7}",
            "title": f"v{version}",
            "price": self._price(),
            "group_id": f"style-{picture // FAMILY}",
        }

    def _price(self) -> float:
        return self._chance.randrange(1000, 9000) / 100

    def _newer(self) -> int:
        self._version += 1
        return self._version


class Publisher(threading.Thread):
    """Publishes events at a rate until it is told to stop; `failed` are calls that raised."""

    def __init__(self, producer: Celery, catalog: Catalog, per_s: float) -> None:
        super().__init__(name="publisher", daemon=True)
        self._producer, self._catalog, self._per_s = producer, catalog, per_s
        self.stopping = threading.Event()
        self.error: BaseException | None = None

    def run(self) -> None:
        try:
            for due in _beats(self._per_s, self.stopping):
                del due
                kind, document = self._catalog.next()
                at = time.time()
                sent = self._producer.send_task(kind, args=[[document]], queue="products")
                self._catalog.note(Sent(str(sent.id), kind, document, at))
        except BaseException as error:  # noqa: BLE001  # told by `end`
            self.error = error

    def end(self) -> None:
        """Stop; raises what went wrong."""
        self.stopping.set()
        self.join()
        if self.error is not None:
            raise self.error


class Shoppers:
    """Asks for what is like a product, at a rate, from some connections; keeps every answer."""

    def __init__(self, url: str, key: str, products: int, per_s: float, connections: int = 4) -> None:
        self.asked: list[Asked] = []
        self.errors: list[str] = []
        self._url, self._key, self._products = urlsplit(url), key, products
        self._stopping = threading.Event()
        self._threads = [
            threading.Thread(target=self._run, args=(number, per_s / connections), daemon=True)
            for number in range(connections)
        ]

    def start(self) -> None:
        """Begin."""
        for thread in self._threads:
            thread.start()

    def end(self) -> None:
        """Stop, when what was asked is answered."""
        self._stopping.set()
        for thread in self._threads:
            thread.join()

    def _run(self, number: int, per_s: float) -> None:
        chance = random.Random(number)  # noqa: S311  # chance without secrets
        connection = http.client.HTTPConnection(self._url.hostname or "", self._url.port, timeout=60)
        for _ in _beats(per_s, self._stopping):
            seed = f"p{chance.randrange(self._products)}"
            begun_at = time.time()
            try:
                path = f"/v1/products/{seed}/similar?limit={LIMIT}"
                connection.request("GET", path, headers={"X-API-Key": self._key})
                response = connection.getresponse()
                answer = json.loads(response.read())
            except (OSError, http.client.HTTPException, ValueError) as error:
                self.errors.append(repr(error))
                connection.close()
                continue
            self.asked.append(Asked(seed, begun_at, time.time(), response.status, answer))


def _beats(per_s: float, stopping: threading.Event) -> Iterator[float]:
    """A beat every `1 / per_s` seconds; what is late is made up for."""
    due = time.monotonic()
    while not stopping.wait(max(0.0, due - time.monotonic())):
        yield due
        due += 1 / per_s
