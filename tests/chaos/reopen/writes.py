"""The writes that a process is killed in: as its plan has them, as the index takes and must show them."""

from dataclasses import asdict, dataclass
from random import Random
from typing import Any, Literal

import numpy as np

from recommender.events import parse_product_event
from recommender.index.protocol import IndexedImage, Vectors, Write
from recommender.merge import UNKNOWN, merge

FINGERPRINT = "chaos-0"
DIMENSION = 32
PRODUCTS = 240
MAX_BATCH = 48
_FILLER = "Sturdy sole, soft lining. " * 40
Kind = Literal["whole", "payload", "tombstone"]


@dataclass(frozen=True)
class Planned:
    """One write of a batch; `seed` and `rows` say which vectors the point has afterwards."""

    batch: int
    id: str
    kind: Kind
    expected_rev: int | None
    seed: int = 0
    rows: int = 0

    @property
    def rev(self) -> int:
        """The revision that it leaves behind; it is the version of the document, too."""
        return (self.expected_rev or 0) + 1

    @property
    def operation(self) -> str:
        """The atomic operation of its batch that it belongs to."""
        if self.kind == "payload":
            return f"overwrite {self.id}"
        return "insert" if self.expected_rev is None else "replace"

    @property
    def vectors(self) -> Vectors:
        """(rows, DIMENSION) float32, unit L2 norm."""
        drawn = np.random.default_rng(self.seed).normal(size=(self.rows, DIMENSION)).astype(np.float32)
        unit: Vectors = drawn / np.linalg.norm(drawn, axis=1, keepdims=True)
        return unit

    @property
    def document(self) -> dict[str, Any] | None:
        """What the shop said; None where it said that the product is gone."""
        if self.kind == "tombstone":
            return None
        return {
            "id": self.id,
            "version": self.rev,
            "images": [f"s3://shop/{self.seed}/{n}.jpg" for n in range(self.rows)],
            "category": f"chaos/{self.batch % 7}",
            "title": f"batch {self.batch}",
            "price": float(self.batch),
            "attributes": {"material": _FILLER},
        }

    def as_write(self) -> Write:
        """For the index."""
        document = self.document
        if document is None:
            gone = parse_product_event("products.delete", {"id": self.id, "version": self.rev})
            return Write(self.id, self.expected_rev, merge(UNKNOWN, gone), (), self.vectors)
        state = merge(UNKNOWN, parse_product_event("products.upsert", document))
        images = tuple(IndexedImage(uri, f"etag-{n}", n) for n, uri in enumerate(document["images"]))
        vectors = None if self.kind == "payload" else self.vectors
        return Write(self.id, self.expected_rev, state, images, vectors)

    def as_json(self) -> dict[str, Any]:
        return asdict(self)


class Book:
    """What must be in the index: the last write of every product that is known to have been made."""

    def __init__(self) -> None:
        self.last: dict[str, Planned] = {}
        self._batches = 0

    def plan(self, chance: Random, batches: int) -> list[list[Planned]]:
        """Batches that suit what is there now, each as if those before it had been written."""
        known = dict(self.last)
        planned = []
        for _ in range(batches):
            self._batches += 1
            ids = chance.sample(range(PRODUCTS), chance.randint(1, MAX_BATCH))
            batch = [self._next(f"p{n}", known, chance) for n in ids]
            known |= {write.id: write for write in batch}
            planned.append(batch)
        return planned

    def _next(self, product: str, known: dict[str, Planned], chance: Random) -> Planned:
        before = known.get(product)
        rev = before.rev if before else None
        kind: Kind = chance.choice(("whole", "whole", "payload", "tombstone"))
        if kind == "tombstone":
            return Planned(self._batches, product, kind, rev)
        if kind == "payload" and before is not None and before.rows:
            return Planned(self._batches, product, kind, rev, before.seed, before.rows)
        return Planned(self._batches, product, "whole", rev, chance.getrandbits(32), chance.randint(1, 4))
