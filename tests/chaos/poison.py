"""Everything bad that a queue, a document or an image can be, and the reasons that fit each."""

import io
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import redis
from PIL import Image

from tests.chaos import pictures
from tests.chaos.fold import Document
from tests.chaos.ledger import Ledger
from tests.chaos.record import LETHAL
from tests.chaos.scene import Scene
from tests.chaos.traffic import Catalog, Producer

Say = Callable[[str], Any]
"""Something bad that holds this token."""
_INFO = {"exchange": "", "routing_key": "products"}


def _envelope(token: str, **changes: Any) -> str:
    """A message by hand; `changes` replace its parts, None takes one away."""
    message = {
        "body": json.dumps([[[token]], {}, {}]),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "headers": {"task": "products.upsert", "id": token},
        "properties": {"delivery_tag": token, "delivery_info": _INFO},
    } | changes
    return json.dumps({name: part for name, part in message.items() if part is not None})


MALFORMED = {"MalformedMessage"}
REFUSED = {"MalformedMessage", "InvalidEvent"}
MESSAGES: dict[str, tuple[Say, set[str]]] = {
    "garbage bytes": (lambda t: b"\xff\x00\xfe" + t.encode(), MALFORMED),
    "text": (lambda t: f"not JSON {t}", MALFORMED),
    "a JSON string": (json.dumps, MALFORMED),
    "a JSON list": (lambda t: json.dumps([t]), MALFORMED),
    "an empty envelope": (lambda t: json.dumps({t: 1}), MALFORMED),
    "no properties": (lambda t: _envelope(t, properties=None), MALFORMED),
    "no delivery tag": (lambda t: _envelope(t, properties={"delivery_info": _INFO}), MALFORMED),
    "no delivery info": (lambda t: _envelope(t, properties={"delivery_tag": t}), MALFORMED),
    "no headers": (lambda t: _envelope(t, headers=None), REFUSED),
    "no body": (lambda t: _envelope(t, body=None), REFUSED),
    "a task that is a number": (lambda t: _envelope(t, headers={"task": 7, "id": t}), REFUSED),
    "an unknown task": (lambda t: _envelope(t, headers={"task": f"nobody.{t}", "id": t}), REFUSED),
    "a body that is no JSON": (lambda t: _envelope(t, body=f"[[{t}"), REFUSED | {"DecodeError"}),
    "a body of another shape": (lambda t: _envelope(t, body=json.dumps({"args": t})), REFUSED),
    "nested too deep": (lambda t: "[" * 5000 + json.dumps(t) + "]" * 5000, MALFORMED),
}

INVALID = {"InvalidEvent"}
DOCUMENTS: dict[str, tuple[Say, set[str]]] = {
    "no images": (lambda t: {"id": t, "version": 1, "category": "home"}, INVALID),
    "an unknown field": (
        lambda t: {"id": t, "version": 1, "images": ["s3://shop/x.jpg"], "category": "home", "colour": "red"},
        INVALID,
    ),
    "a version that is text": (
        lambda t: {"id": t, "version": "1", "images": ["s3://shop/x.jpg"], "category": "home"},
        INVALID,
    ),
    "a text": (lambda t: t, INVALID),
    "a list": (lambda t: [t], INVALID),
}


def _bomb(_: str) -> bytes:
    file = io.BytesIO()
    Image.new("1", (20_000, 20_000)).save(file, "PNG")
    return file.getvalue()


UNREADABLE = {"ImageNotDecodable"}
IMAGES: dict[str, tuple[Say, set[str]]] = {
    "missing": (lambda t: f"s3://shop/poison/{t}.jpg", {"ImageNotFound"}),
    "in another bucket": (lambda t: f"s3://elsewhere/{t}.jpg", {"ImageNotAllowed"}),
    "HTML": (lambda t: f"<!doctype html><title>404 {t}</title>".encode(), UNREADABLE),
    "empty": (lambda _: b"", UNREADABLE),
    "truncated": (lambda t: pictures.draw(len(t))[:400], UNREADABLE),
    "a bomb": (_bomb, {"ImageTooLarge"}),
}
"""The bytes of a file, or a URI at which there is none."""
GIVEN_UP = {"ImageLethal"}
OUT_OF_MEMORY = {"ImageLethal", "MemoryError"}


@dataclass
class Poisoner:
    """Publishes bad things, healthy ones beside them, and enters in the book what must become of each."""

    scene: Scene
    ledger: Ledger
    producer: Producer
    catalog: Catalog
    """Of the healthy neighbours."""
    count: int = 0

    def lethal(self, names: Sequence[str]) -> list[Callable[[], None]]:
        """One call for each of these faults of a decoder."""
        return [partial(self._lethal, name) for name in names]

    def kinds(self) -> list[Callable[[], None]]:
        """One call for each other kind."""
        return [
            *(partial(self._message, *kind) for kind in MESSAGES.values()),
            *(partial(self._document, *kind) for kind in DOCUMENTS.values()),
            *(partial(self._image, *kind) for kind in IMAGES.values()),
        ]

    def _token(self) -> str:
        self.count += 1
        return f"poison-{self.count}-"

    def _message(self, say: Say, reasons: set[str]) -> None:
        token = self._token()
        self.ledger.inject(token, *reasons)
        with redis.Redis.from_url(self.scene.broker.url) as broker:
            broker.lpush("products", say(token))

    def _document(self, say: Say, reasons: set[str]) -> None:
        token = self._token()
        self.ledger.inject(token, *reasons)
        self.ledger.absent(token)
        self.producer.send("products.upsert", [self._neighbour(token)], bad=[say(token)])

    def _image(self, say: Say, reasons: set[str]) -> None:
        token = self._token()
        said = say(token)
        uri = said if isinstance(said, str) else self.scene.store.put(f"poison/{token}.jpg", said)
        self.ledger.broken.add(uri)
        self.ledger.inject(uri, *reasons)
        whole = self.scene.store.put(f"whole/{token}.jpg", pictures.draw(self.count))
        product = self.catalog.upsert(f"{token}product", whole, uri)
        self.producer.send("products.upsert", [product, self._neighbour(token)])

    def _lethal(self, name: str) -> None:
        """A picture whose decoder does this; a process that is out of memory may blame what it will."""
        reasons = OUT_OF_MEMORY if name == "memory" else GIVEN_UP
        self._image(lambda _: pictures.draw(self.count, LETHAL[name]), reasons)

    def _neighbour(self, token: str) -> Document:
        return self.catalog.upsert(f"{token}neighbour")
