"""What is found in an index that a killed process left behind, against what must be there."""

from collections import Counter, defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from recommender.catalog import Filter
from recommender.index.embedded import EmbeddedEngine
from recommender.index.products import PointIndex
from recommender.index.protocol import StoredProduct
from tests.chaos.reopen.process import SCHEMA
from tests.chaos.reopen.writes import FINGERPRINT, PRODUCTS, Book, Planned

_IDS = [f"p{n}" for n in range(PRODUCTS)]


def inspect(folder: Path, book: Book, in_flight: list[Planned]) -> list[str]:
    """Open the index anew and compare all of it; `book` learns what has landed of the write in flight."""
    engine = EmbeddedEngine(folder, SCHEMA)
    try:
        index = engine.open(FINGERPRINT)
        stored = index.read(_IDS, vectors=True)
        violations = list(_torn(in_flight, stored))
        book.last |= {write.id: write for write in in_flight if _has_landed(write, stored)}
        for product in _IDS:
            violations += _of_one(product, book.last.get(product), stored.get(product))
        violations += _of_payloads(index, book)
        violations += _of_searches(index, book)
    finally:
        engine.close()
    return violations


def _has_landed(write: Planned, stored: dict[str, StoredProduct]) -> bool:
    found = stored.get(write.id)
    return found is not None and found.rev == write.rev


def _torn(in_flight: list[Planned], stored: dict[str, StoredProduct]) -> Iterator[str]:
    """Each operation is there as a whole, or not at all."""
    landed: dict[str, set[bool]] = defaultdict(set)
    for write in in_flight:
        landed[write.operation].add(_has_landed(write, stored))
    for operation, found in landed.items():
        if len(found) > 1:
            yield f"half of one operation is there: {operation} of batch {in_flight[0].batch}"


def _of_one(product: str, expected: Planned | None, found: StoredProduct | None) -> Iterator[str]:
    if expected is None or found is None:
        if (expected is None) != (found is None):
            yield f"{product}: expected {expected}, found {found}"
        return
    shown = found.state.product.model_dump(mode="json", exclude_unset=True) if found.state.product else None
    document = expected.document
    if document is not None:
        document |= {
            "images": [{"uri": uri} for uri in document["images"]],
            "category": [document["category"]],
        }
    if shown is not None:
        shown["images"] = [{"uri": image["uri"]} for image in shown["images"]]
    if shown != document or found.rev != expected.rev:
        title = shown and shown["title"]
        yield f"{product}: rev {found.rev} with the document of {title}, expected {expected}"
    if found.vectors is None or found.vectors.shape != expected.vectors.shape:
        yield f"{product}: vectors of another shape than those of {expected}"
    elif not np.allclose(found.vectors, expected.vectors, atol=1e-5):
        yield f"{product}: other vectors than those of {expected}"
    if [image.row for image in found.images] != list(range(expected.rows)):
        yield f"{product}: images name the rows {[image.row for image in found.images]}, of {expected}"


def _of_payloads(index: PointIndex, book: Book) -> Iterator[str]:
    """Beside the document: one write id a batch, and bookkeeping that says the same as the document."""
    ids = [SCHEMA.point_id(product) for product in book.last]
    write_ids: dict[int, set[str]] = defaultdict(set)
    for point in index._store.retrieve(ids):
        payload: Any = point.payload
        expected = book.last[payload["id"]]
        write_ids[expected.batch].add(payload["write_id"])
        status = "deleted" if expected.kind == "tombstone" else "searchable"
        if (payload["rev"], payload["version"], payload["status"]) != (expected.rev, expected.rev, status):
            yield f"{expected}: its payload says rev {payload['rev']}, {payload['status']}"
    for batch, found in write_ids.items():
        if len(found) > 1:
            yield f"batch {batch} has several write ids: {found}"
    if len({write_id for found in write_ids.values() for write_id in found}) < len(write_ids):
        yield "a write id occurs in several batches"


def _of_searches(index: PointIndex, book: Book) -> Iterator[str]:
    live = {product for product, write in book.last.items() if write.kind != "tombstone"}
    if (counted := index.count(Filter())) != len(live):
        yield f"{counted} are counted, {len(live)} are there"
    listed = {stored.id for stored in index.scroll(Filter(), limit=PRODUCTS + 1).products}
    if listed != live:
        yield f"listed, but for {sorted(listed ^ live)[:5]}, as they should be"
    for product in sorted(live)[:3]:
        hits = index.search(book.last[product].vectors[:1], Filter(), limit=PRODUCTS + 1)
        if not hits or hits[0].stored.id != product or {hit.stored.id for hit in hits} != live:
            yield f"a search by the vector of {product} finds {[hit.stored.id for hit in hits[:3]]} ..."
    categories = [write.document["category"] for write in book.last.values() if write.document]
    for category, wanted in Counter(categories).items():
        if (counted := index.count(Filter(category=(category,)))) != wanted:
            yield f"{counted} are counted in {category}, {wanted} are there"
