"""The `ProductIndex` protocol, and the data that crosses it.

One point per product. Both engines keep this contract; tests/integration/index runs it against both.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from config.settings import Storage
from recommender.catalog import Filter
from recommender.encoders.recipe import Recipe
from recommender.index.strategy import Strategy
from recommender.merge import ProductState

Vectors = NDArray[np.float32]
"""(N, D) float32, unit L2 norm, finite; row i for searchable image i."""

Status = Literal["searchable", "imageless", "stub", "deleted"]
"""What a point stands for: a product that can be found; one none of whose images could be embedded;
patches that wait for their upsert; a tombstone."""


@dataclass(frozen=True, slots=True)
class IndexedImage:
    """What the index knows of one image of a product.

    `row` is its row in the product's vectors; None when it could not be embedded, and `error` says
    why. `etag` is that of the bytes that were embedded; None where the source has none.
    """

    uri: str
    etag: str | None = None
    row: int | None = None
    error: str | None = None


@dataclass(frozen=True, slots=True)
class DuplicateOf:
    """The product that another was like when its rows were written; `score` as that of a `Hit`."""

    id: str
    score: float


@dataclass(frozen=True, slots=True)
class StoredProduct:
    """One point. `rev` grows with every write and is what a compare-and-swap compares."""

    id: str
    rev: int
    state: ProductState
    images: tuple[IndexedImage, ...]
    vectors: Vectors | None = None  # only where the reader asked for them
    duplicate_of: DuplicateOf | None = None


@dataclass(frozen=True, slots=True)
class Write:
    """One compare-and-swap: write if the point's `rev` is still `expected_rev`.

    `expected_rev` None means the point was missing. `vectors` None keeps the stored vectors (a
    payload-only write); an array of no rows makes the point vectorless, never found by a search: a
    tombstone, a stub, or a product none of whose images could be embedded. A missing point needs an
    array. A state of which nothing is known removes the point, which must have been read.
    """

    id: str
    expected_rev: int | None
    state: ProductState
    images: tuple[IndexedImage, ...]
    vectors: Vectors | None
    duplicate_of: DuplicateOf | None = None


@dataclass(frozen=True, slots=True)
class Hit:
    """One search result; `score` is the cosine of its best pair of rows, in [-1, 1].

    `asked_row` is the row of the query in that pair, and `weight` what that row counts for: the best pair is
    that of the greatest weight x cosine.
    """

    stored: StoredProduct
    score: float
    asked_row: int = 0
    weight: float = 1.0

    @property
    def relevance(self) -> float:
        """What hits are ordered by."""
        return self.weight * self.score


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a scroll; `cursor` None means it was the last."""

    products: tuple[StoredProduct, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class CensusEntry:
    """What a census reads of one point, which may be a tombstone or a stub.

    `digest` is `digest_of` of the merged document; empty where there is none. `written_at` is in seconds
    since 1970, by the clock of whoever wrote last, and `encoder` the fingerprint of whose index that was.
    `group_id` is the variant family of a live product, if it has one. `state` is the text that the state is
    kept as, the same for equal states; None where it was not asked for.
    """

    id: str
    status: Status
    version: int
    digest: str
    images: tuple[IndexedImage, ...]
    written_at: int
    encoder: str
    group_id: str | None = None
    state: str | None = None


@dataclass(frozen=True, slots=True)
class CensusPage:
    """One page of a census; `cursor` None means it was the last."""

    entries: tuple[CensusEntry, ...]
    cursor: str | None


@dataclass(frozen=True, slots=True)
class Collection:
    """What a collection is like, looked at from outside."""

    points: int
    dimension: int
    distance: str
    missing_indexes: tuple[str, ...]
    """Payload fields that the schema indexes, and that have no index, or one of another kind."""
    storage: Storage = "float32"


@dataclass(frozen=True, slots=True)
class Search:
    """A search from the first hit on, as `ProductIndex.search` was asked for it."""

    vectors: Vectors
    where: Filter
    limit: int
    min_score: float | None = None
    weights: Sequence[float] | None = None


OnSearch = Callable[[Search, Sequence[Hit]], None]


class ProductIndex(Protocol):
    """Reads, compare-and-swap writes and searches of one collection. Thread-safe.

    Every method may raise `IndexUnavailable`; each blocks at most the configured deadline.
    """

    fingerprint: str
    """The encoder fingerprint that the collection belongs to."""
    on_search: OnSearch | None
    """Told of every such search that chose its own strategy, and of its hits; it must not block."""

    def read(self, ids: Sequence[str], *, vectors: bool = False) -> dict[str, StoredProduct]:
        """Return what is stored under these product ids, tombstones and stubs included.

        Rows that another encoder made are not there for the reader.
        """
        ...

    def write(self, writes: Sequence[Write]) -> set[str]:
        """Apply compare-and-swaps, at most one a product; return the ids that lost their race.

        Raises:
            ValueError: a row is not finite or not of the collection's dimension; nothing is written.
        """
        ...

    def search(
        self,
        vectors: Vectors,
        where: Filter,
        *,
        limit: int,
        offset: int = 0,
        min_score: float | None = None,
        with_vectors: bool = False,
        weights: Sequence[float] | None = None,
        strategy: Strategy | None = None,
    ) -> list[Hit]:
        """Return the products nearest to any row of `vectors` ((Q, D)), best first.

        The filter applies inside the search. Ties are broken by product id. `weights`, one a row, in (0, 1],
        are what its cosines count for. `min_score` is the least relevance. `strategy` None chooses one by
        how much passes the filter.
        """
        ...

    def nearest_to_each(self, rows: Vectors, where: Filter, *, limit: int) -> list[list[Hit]]:
        """For each of the (N, D) rows the products nearest to it, best first; one pass for all of them.

        Equal scores may come in any order, and be cut anywhere.
        """
        ...

    def facet(self, field: str, where: Filter, *, limit: int = 1000) -> dict[str, int]:
        """Count live, searchable products by value of `field` (category, brand or attributes.KEY).

        A product counts for its category and every category above it.
        """
        ...

    def count(self, where: Filter) -> int:
        """Count live, searchable products exactly."""
        ...

    def scroll(
        self, where: Filter, *, limit: int = 256, cursor: str | None = None, vectors: bool = False
    ) -> Page:
        """Return live products (searchable or not) in a stable order, a page at a time."""
        ...

    def census(self, *, limit: int = 1024, cursor: str | None = None, states: bool = False) -> CensusPage:
        """Return a little of every point, tombstones and stubs too, in a stable order, a page at a time."""
        ...

    def states(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the texts that the states of these products are kept as; `state_from_text` reads them."""
        ...

    def size(self) -> int:
        """Count every point, tombstones and stubs included."""
        ...

    def ping(self) -> None:
        """Return if the index answers."""
        ...

    def close(self) -> None:
        """Flush and let go; safe to call twice."""
        ...


class IndexEngine(Protocol):
    """The collections of one catalog, one an encoder fingerprint, and which of them serves."""

    def create(self, fingerprint: str, dimension: int, recipe: Recipe | None = None) -> None:
        """Create the collection and its payload indexes, before any point; a no-op if it exists.

        Without a recipe only a process whose settings name its encoder can serve from it.
        """
        ...

    def recipe(self, fingerprint: str) -> Recipe | None:
        """Return the recipe that the collection was created with.

        Raises:
            KeyError: there is none of this fingerprint.
        """
        ...

    def open(self, fingerprint: str) -> ProductIndex:
        """Open one collection.

        Raises:
            KeyError: there is none of this fingerprint.
            IndexInUse: another process owns the embedded index.
        """
        ...

    def describe(self, fingerprint: str) -> Collection:
        """Look at one collection; changes nothing, where `open` creates the payload indexes that are missing.

        Raises:
            KeyError: there is none of this fingerprint.
            IndexInUse: another process owns the embedded index.
        """
        ...

    def fingerprints(self) -> list[str]:
        """List the fingerprints of all collections of this catalog, sorted."""
        ...

    def serving(self) -> str | None:
        """Return the fingerprint that the alias names; None before the first promotion."""
        ...

    def promote(self, fingerprint: str) -> None:
        """Point the alias at this collection, atomically."""
        ...

    def drop(self, fingerprint: str) -> None:
        """Delete one collection; the serving one is refused with ValueError."""
        ...

    def close(self) -> None:
        """Close every open collection."""
        ...
