"""Products, states and rows for the contract suite."""

from typing import Any

import numpy as np

from recommender.events import parse_product_event
from recommender.index.protocol import IndexedImage, Vectors, Write
from recommender.merge import UNKNOWN, ProductState, merge

DIMENSION = 16
NO_ROWS = np.empty((0, DIMENSION), dtype=np.float32)


def rows(count: int, seed: int = 0) -> Vectors:
    """(count, DIMENSION) float32, unit L2 norm."""
    drawn = np.random.default_rng(seed).normal(size=(count, DIMENSION)).astype(np.float32)
    return drawn / np.linalg.norm(drawn, axis=1, keepdims=True)


def upserted(
    product_id: str, version: int = 1, *, after: ProductState = UNKNOWN, **fields: Any
) -> ProductState:
    document = {"images": [f"s3://shop/{product_id}.jpg"], "category": "women/shoes/boots", **fields}
    return merge(
        after, parse_product_event("products.upsert", {"id": product_id, "version": version, **document})
    )


def patched(product_id: str, version: int, *, after: ProductState = UNKNOWN, **fields: Any) -> ProductState:
    return merge(
        after, parse_product_event("products.patch", {"id": product_id, "version": version, **fields})
    )


def deleted(product_id: str, version: int, *, after: ProductState = UNKNOWN) -> ProductState:
    return merge(after, parse_product_event("products.delete", {"id": product_id, "version": version}))


def images(vectors: Vectors | None) -> tuple[IndexedImage, ...]:
    count = 1 if vectors is None else len(vectors)
    return tuple(IndexedImage(f"s3://shop/{n}.jpg", f"etag-{n}", n) for n in range(count))


def write(product_id: str, rev: int | None, state: ProductState, vectors: Vectors | None) -> Write:
    return Write(product_id, rev, state, images(vectors), vectors)


def first(product_id: str, vectors: Vectors, **fields: Any) -> Write:
    """The first write of a product."""
    return write(product_id, None, upserted(product_id, **fields), vectors)
