"""Events that are almost right, by every way into the system: an accepted product, or an `InvalidEvent`."""

import base64
import json
import random
from dataclasses import replace
from typing import Any

from recommender.errors import InvalidEvent
from recommender.events import (
    CATALOG_JOBS,
    EVENT_TYPES,
    PRODUCT_EVENTS,
    ProductDocument,
    check_documents,
    parse_catalog_job,
    parse_product_event,
)
from recommender.index.protocol import IndexedImage, Write
from recommender.index.schema import payload_of, stored_of
from recommender.merge import UNKNOWN, ProductState, merge
from tests.chaos.fuzz.mutation import mutated
from worker.jobs.dead_letters import DeadLetter
from worker.publish import event_message
from worker.replay import replay_message
from worker.stream import parse_entry

RSS_BOUND_BYTES = 256 * 2**20
_MAX_BYTES = 2**20

_PRODUCT: dict[str, Any] = {
    "id": "sku-1",
    "version": 1732350000000,
    "images": ["s3://shop/a.jpg", {"uri": "https://cdn.example/b.webp", "role": "back"}],
    "category": ["women/shoes/boots", "sale"],
    "title": "Ankle boot",
    "brand": "Acme",
    "price": 89.9,
    "currency": "EUR",
    "in_stock": True,
    "group_id": "style-77",
    "url": "https://shop.example/p/1",
    "attributes": {"colour": "black", "sizes": ["38", "39"], "weight": 1.5, "new": False},
    "trace_id": "t-1",
}
_PATCH = {"id": "sku-1", "version": 7, "price": None, "attributes": {"colour": None, "sizes": ["40"]}}
_DELETE = {"id": "sku-1", "version": 8}
_EVENTS: tuple[tuple[str, Any], ...] = (
    ("products.upsert", [_PRODUCT, {**_PRODUCT, "id": "sku-2", "category": "men"}]),
    ("products.upsert", _PRODUCT),
    ("products.patch", [_PATCH]),
    ("products.patch", {**_PATCH, "attributes": None}),
    ("products.delete", [_DELETE]),
    ("catalog.refresh", {"feed": "s3://shop/feed.jsonl"}),
    ("catalog.reindex", {"encoder": "compact", "scope": {"category": "women/shoes"}}),
    ("catalog.reindex", {"encoder": None, "scope": {"ids": ["sku-1", "sku-2"]}}),
)
_HOSTILE: tuple[Any, ...] = (
    None,
    True,
    0,
    -1,
    2**53,
    10**400,
    -0.0,
    1e308,
    float("nan"),
    float("inf"),
    "",
    " ",
    "x" * 5000,
    "\ud800",
    "\0",
    "\u202e\U0001f45f",
    "a/" * 600,
    [],
    {},
    [[[[]]]],
    ["x"] * 300,
    {"": None},
    {"uri": "file:///etc/passwd"},
    "s3://",
    "1e5",
)


def make(seed: int, n: int) -> bytes:
    """The n-th entry of a run: its type, a line feed, its data."""
    rng = random.Random(f"{seed} {n}")
    event_type, data = rng.choice(_EVENTS)
    if rng.random() < 0.1:
        event_type = rng.choice((*EVENT_TYPES, "products.embed", "", "products.upsert "))
    for _ in range(rng.choice((0, 1, 1, 1, 2, 5))):
        data = _with_a_hostile_part(data, rng)
    if rng.random() < 0.2:
        data = _as_message(event_type, data, rng)
    text = _to_text(data, rng)
    if rng.random() < 0.3:
        text = mutated(text, [json.dumps(other).encode() for _, other in _EVENTS], rng)
    return event_type.encode() + b"\n" + text[:_MAX_BYTES]


def check(data: bytes, n: int) -> str:
    """What became of it, for the count; whatever it raises is a violation."""
    del n
    event_type, _, text = data.decode(errors="replace").partition("\n")
    _by_replay(event_type, text)
    try:
        event_type, parsed = parse_entry({"type": event_type, "data": text})
        json.dumps(event_message(event_type, parsed).args)
        if event_type in CATALOG_JOBS:
            parse_catalog_job(event_type, parsed)
            return "accepted"
        documents = check_documents(parsed if isinstance(parsed, list) else [parsed])
    except InvalidEvent:
        return "refused"
    outcomes = {_accept(event_type, document) for document in documents}
    return "accepted" if True in outcomes else "refused"


def _by_replay(event_type: str, text: str) -> None:
    """A dead letter holds whatever came: as the data of an event, or as a whole message."""
    letter = DeadLetter.of(event_type, text, ValueError("fuzz"))
    assert letter.cause == replace(letter, attempts=2).cause
    assert all(isinstance(product, str) and product.encode() is not None for product in letter.products)
    try:
        message = replay_message(letter)
    except InvalidEvent:
        return
    for documents in message.args if message.type in PRODUCT_EVENTS else ():
        if isinstance(documents, list):
            for document in documents:
                _accept(message.type, document)


def _accept(event_type: str, document: Any) -> bool:
    try:
        event = parse_product_event(event_type, document)
    except InvalidEvent:
        return False
    state = merge(UNKNOWN, event)
    assert merge(state, event) == state, "a repeated event changes something"
    assert state.version == (event.version if state != UNKNOWN else -1)
    if state != UNKNOWN:  # a patch of no attributes says nothing, and nothing is written
        _survives(event, state)
    for other_type, other in (("products.upsert", _PRODUCT), ("products.patch", _PATCH)):
        before = merge(UNKNOWN, parse_product_event(other_type, {**other, "id": event.id}))
        _survives(event, merge(before, event))
    return True


def _survives(event: ProductDocument, state: ProductState) -> None:
    """What is stored comes back as it was."""
    images = tuple(IndexedImage(image.uri) for image in state.product.images) if state.product else ()
    payload = payload_of(Write(event.id, 3, state, images, None), write_id="w", fingerprint="f")
    text = json.dumps(payload, allow_nan=False, ensure_ascii=False).encode()
    stored = stored_of(json.loads(text), None)
    assert (stored.id, stored.rev, stored.state, stored.images) == (event.id, 4, state, images)


def _with_a_hostile_part(data: Any, rng: random.Random) -> Any:
    """A copy in which one value, somewhere, is another, is gone, or has a neighbour that nobody knows."""
    if isinstance(data, dict) and data and rng.random() < 0.9:
        name = rng.choice(list(data))
        match rng.randrange(6):
            case 0:
                return {key: value for key, value in data.items() if key != name}
            case 1:
                return {**data, rng.choice(("", "id", "images", "extra", "\ud800", "x" * 200)): data[name]}
            case _:
                return {**data, name: _with_a_hostile_part(data[name], rng)}
    if isinstance(data, list) and data and rng.random() < 0.8:
        at = rng.randrange(len(data))
        copies = rng.choice((0, 1, 1, 1, 2, 2 if isinstance(data[at], list | dict) else 300))
        return data[:at] + [_with_a_hostile_part(data[at], rng)] * copies + data[at + 1 :]
    return rng.choice(_HOSTILE)


def _as_message(event_type: str, data: Any, rng: random.Random) -> Any:
    """As Celery puts it into a queue, perhaps with something wrong about it."""
    body = _to_text([[data], {}, {"chain": None}], rng)
    message = {
        "headers": {"task": event_type, "id": "1", "lang": "py"},
        "properties": {"body_encoding": "base64", "delivery_info": {"routing_key": "products"}},
        "body": base64.b64encode(body).decode(),
        "content-type": rng.choice(
            ("application/json", "application/json", "application/x-python-serialize")
        ),
        "content-encoding": rng.choice(("utf-8", "utf-8", "rot13", "binary", "no-such")),
    }
    return _with_a_hostile_part(message, rng) if rng.random() < 0.5 else message


def _to_text(data: Any, rng: random.Random) -> bytes:
    nested = b"[" * 100_000 if rng.random() < 0.01 else b""
    return nested + json.dumps(data).encode()
