"""A drawn catalog of vectors: looks in clusters, fields that follow the looks and fields that don't.

Products are of a kind (the coarse look), in a style of that kind, with 1 to 3 images each. Every shape of
filter comes twice: `free` picks products whatever they look like, `tied` picks by looks, so that most
seeds look like nothing that passes.
"""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from recommender.catalog import Filter
from recommender.events import parse_product_event
from recommender.index.protocol import IndexedImage, Vectors, Write
from recommender.index.schema import Schema
from recommender.merge import UNKNOWN, merge

ATTRIBUTES = ("season", "material")
SCHEMA = Schema("looks", ATTRIBUTES)
SEED = 20261124
_KINDS, _PRODUCTS_A_STYLE = 40, 50
# The cosine to the next of the same style is about 0.8, of the same kind 0.6, to the rest 0.
_STYLE, _PRODUCT, _IMAGE = 0.8, 0.7, 0.4
_WRITTEN_AT_ONCE = 256
Mask = NDArray[np.bool_]


@dataclass(frozen=True, eq=False)
class Shape:
    """A filter, and the products that pass it."""

    name: str
    kind: str
    where: Filter
    passes: Mask

    @property
    def share(self) -> float:
        return float(self.passes.mean())

    def recall(self, scores: NDArray[np.float32], found: Sequence[int]) -> float:
        """How much of the true ten was found, by the scores of all products (N,); ties count as found."""
        passing = np.sort(scores[self.passes])[::-1][:10]
        if not len(passing):
            return float(not found)
        least = passing[-1] - 1e-5  # engines add a cosine up in another order
        right = sum(bool(self.passes[number] and scores[number] >= least) for number in found)
        return min(right, len(passing)) / len(passing)


class Looks:
    """`size` products of (1 to 3, dimension) rows."""

    def __init__(self, size: int, dimension: int, seed: int = SEED) -> None:
        self.size, self.dimension = size, dimension
        draw = np.random.default_rng(seed)
        self._kind, self._style, self.rows, self.starts = _drawn(draw, size, dimension)
        number = draw.integers(0, 200, size)
        self._category, self._in_stock = number % 5, number // 5 % 5 == 0
        self._brand = number // 25
        self._ten = draw.integers(0, 10, size)
        styles = int(self._style.max()) + 1
        self._season = draw.integers(0, 5, styles)[self._style]
        self._material = draw.integers(0, 8, styles)[self._style]
        # Half of the prices follow the looks, far above the others.
        self._dear = draw.random(size) < 0.5
        self._price = np.where(
            self._dear, 1000 + 10.0 * self._kind, draw.integers(0, 10_000, size) / 100
        ).round(2)

    def rows_of(self, product: int) -> Vectors:
        """(1 to 3, D)."""
        return self.rows[self.starts[product] : self.starts[product + 1]]

    def scores(self, query: Vectors) -> NDArray[np.float32]:
        """(N,) the cosine of the best pair of each product to any row of `query`, by brute force."""
        best = (self.rows @ query.T).max(axis=1)
        return np.asarray(np.maximum.reduceat(best, self.starts[:-1]), dtype=np.float32)

    def shapes(self) -> list[Shape]:
        """Every shape, free and tied."""
        kind, season, material = self._kind, self._season, self._material
        category, brand, stock = self._category == 1, self._brand, self._in_stock
        families = [[f"{ten}-{look}" for look in range(5)] for ten in range(10)]
        return [
            Shape("none", "free", Filter(), np.ones(self.size, dtype=np.bool_)),
            Shape("20%", "free", Filter(category=("bench/1",)), category),
            Shape("20%", "tied", Filter(category=("looks/1",)), kind % 5 == 1),
            Shape("AND at 4%", "free", Filter(category=("bench/1",), in_stock=True), category & stock),
            Shape(
                "AND at 4%",
                "tied",
                Filter(category=("looks/1",), attributes={"season": ("s2",)}),
                (kind % 5 == 1) & (season == 2),
            ),
            Shape(
                "AND at 0.5%",
                "free",
                Filter(category=("bench/1",), in_stock=True, brand=("b3",)),
                category & stock & (brand == 3),
            ),
            Shape(
                "AND at 0.5%",
                "tied",
                Filter(category=("looks/1",), attributes={"season": ("s2",), "material": ("m3",)}),
                (kind % 5 == 1) & (season == 2) & (material == 3),
            ),
            Shape("range", "free", Filter(price_min=0, price_max=40), self._price <= 40),
            Shape(
                "range",
                "tied",
                Filter(price_min=1000, price_max=1150),
                (self._price >= 1000) & (self._price <= 1150),
            ),
            Shape("any of", "free", Filter(category=("bench/1", "bench/2")), np.isin(self._category, (1, 2))),
            Shape("any of", "tied", Filter(category=("looks/1", "looks/2")), np.isin(kind % 5, (1, 2))),
            Shape(
                "exclusion",
                "free",
                Filter(exclude_groups=(*families[0], *families[1])),
                self._ten > 1,
            ),
            Shape(
                "exclusion",
                "tied",
                Filter(exclude_groups=tuple(family[1] for family in families)),
                kind % 5 != 1,
            ),
        ]

    def writes(self) -> Iterator[list[Write]]:
        """The whole catalog, in batches."""
        for start in range(0, self.size, _WRITTEN_AT_ONCE):
            numbers = range(start, min(start + _WRITTEN_AT_ONCE, self.size))
            yield [self.write_of(number, self.rows_of(number)) for number in numbers]

    def write_of(self, number: int, rows: Vectors, prefix: str = "") -> Write:
        """The first write of a product like this one, with these rows and another id."""
        document = self.document(number) | {"id": f"{prefix}{number}"}
        document["images"] = [f"s3://looks/{prefix}{number}-{n}.jpg" for n in range(len(rows))]
        images = tuple(IndexedImage(uri, f"e{n}", n) for n, uri in enumerate(document["images"]))
        state = merge(UNKNOWN, parse_product_event("products.upsert", document))
        return Write(document["id"], None, state, images, rows)

    def document(self, number: int) -> dict[str, Any]:
        """As a shop would send it."""
        kind = int(self._kind[number])
        images = len(self.rows_of(number))
        return {
            "id": str(number),
            "version": 1,
            "images": [f"s3://looks/{number}-{n}.jpg" for n in range(images)],
            "category": [f"bench/{self._category[number]}", f"looks/{kind % 5}"],
            "title": f"Product {number} of style {self._style[number]}",
            "brand": f"b{self._brand[number]}",
            "price": float(self._price[number]),
            "currency": "EUR",
            "in_stock": bool(self._in_stock[number]),
            "group_id": f"{self._ten[number]}-{kind % 5}",
            "url": f"https://shop.example/p/{number}",
            "attributes": {
                "season": f"s{self._season[number]}",
                "material": f"m{self._material[number]}",
                "colour": "black",
            },
        }


def _drawn(
    draw: np.random.Generator, size: int, dimension: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], Vectors, NDArray[np.int64]]:
    """Kind and style (N,) of every product, its rows (R, D) of unit norm, and where they start (N + 1,)."""

    def around(centres: Vectors, spread: float) -> Vectors:
        noise = draw.normal(size=centres.shape).astype(np.float32) / np.float32(np.sqrt(dimension))
        moved = centres + np.float32(spread) * noise
        return np.asarray(moved / np.linalg.norm(moved, axis=1, keepdims=True), dtype=np.float32)

    styles = max(_KINDS, size // _PRODUCTS_A_STYLE)
    kind_of_style = np.arange(styles) % _KINDS
    kinds = around(np.zeros((_KINDS, dimension), np.float32), 1.0)
    looks = around(kinds[kind_of_style], _STYLE)
    style = draw.integers(0, styles, size)
    products = around(looks[style], _PRODUCT)
    images = draw.integers(1, 4, size)
    starts = np.concatenate([[0], np.cumsum(images)])
    rows = around(products[np.repeat(np.arange(size), images)], _IMAGE)
    return kind_of_style[style], style, rows, starts
