"""`ProductIndex` over the points of an engine: compare-and-swap, best-pair search, order of ties."""

import logging
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from uuid import uuid4

import numpy as np

from recommender import metrics
from recommender.catalog import Filter
from recommender.index.estimates import Estimates
from recommender.index.filters import Where, conditions
from recommender.index.points import (
    FoundPoint,
    Insert,
    NewPoint,
    Operation,
    OverwritePayload,
    PointStore,
    Remove,
    Replace,
)
from recommender.index.protocol import (
    CensusPage,
    Hit,
    IndexedImage,
    OnSearch,
    Page,
    Search,
    StoredProduct,
    Vectors,
    Write,
)
from recommender.index.schema import CENSUS, LIVE, SEARCHABLE, Schema, census_of, payload_of, stored_of
from recommender.index.storage import CODED
from recommender.index.strategy import CODES, EXACT, Strategy
from recommender.merge import UNKNOWN

log = logging.getLogger(__name__)
_MOST_TIES = 1024
"""How many candidates beyond a page are read, at most, to order products of equal score by id."""


class PointIndex:
    """Keeps products as points; implements `ProductIndex` for both engines."""

    def __init__(self, store: PointStore, schema: Schema, fingerprint: str) -> None:
        self.fingerprint = fingerprint
        self.on_search: OnSearch | None = None
        self._store = store
        self._schema = schema
        self._estimates = Estimates(lambda where: store.count(where, exact=False), self._where(Filter()))

    def read(self, ids: Sequence[str], *, vectors: bool = False) -> dict[str, StoredProduct]:
        """Return what is stored under these product ids, tombstones and stubs included.

        Rows that another encoder made are not there for the reader.
        """
        if not ids:
            return {}
        points = self._store.retrieve([self._schema.point_id(i) for i in ids], vectors=vectors)
        return {point.payload["id"]: self._own(point) for point in points}

    def write(self, writes: Sequence[Write]) -> set[str]:
        """Apply compare-and-swaps, at most one a product; return the ids that lost their race.

        Raises:
            ValueError: a row is not finite or not of the collection's dimension, an image names a
                row that isn't there, a payload-only write or a removal expects a missing point, or a
                product occurs twice; nothing is written.
        """
        if not writes:
            return set()
        if len({write.id for write in writes}) < len(writes):
            raise ValueError("a batch holds at most one write a product")
        for write in writes:
            self._check(write)
        ids = {self._schema.point_id(write.id): write.id for write in writes}
        written = self._store.apply(list(self._operations(writes, ids)))
        return {product_id for point_id, product_id in ids.items() if point_id not in written}

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

        `strategy` None takes the one that `strategy_of` names.

        MAX_SIM sums over the rows of a query, so every row is a query of its own, merged by maximum.
        The best `offset + limit` of each hold the best of all: whatever is missing from the list of
        its best row is beaten by that whole list. That holds whatever the rows weigh.

        Raises:
            ValueError: a row is not finite or not of the collection's dimension.
            InvalidQuery: the filter names an attribute that is not declared.
        """
        self._check_rows(vectors, "the query")
        if not len(vectors) or limit < 1:
            return []
        best: dict[str, tuple[float, int, FoundPoint]] = {}
        weights = weights or [1.0] * len(vectors)
        for row, points in enumerate(self._nearest(vectors, where, strategy, offset + limit, with_vectors)):
            for point in points:
                relevance, known = weights[row] * point.score, best.get(point.payload["id"])
                if known is None or relevance > known[0]:
                    best[point.payload["id"]] = (relevance, row, point)
        ranked = sorted(best.values(), key=lambda found: (-found[0], found[2].payload["id"]))
        hits = [
            Hit(_stored(point), _bounded(point.score), row, weights[row])
            for relevance, row, point in ranked[offset : offset + limit]
            if min_score is None or relevance >= min_score
        ]
        if strategy is None and offset == 0 and self.on_search is not None:
            self.on_search(Search(vectors, where, limit, min_score, weights), hits)
        return hits

    def strategy_of(self, where: Filter, *, wanted: int) -> Strategy:
        """How a search for that many products goes."""
        return self._strategy(self._where(where), wanted)

    def nearest_to_each(self, rows: Vectors, where: Filter, *, limit: int) -> list[list[Hit]]:
        """For each of the (N, D) rows the products nearest to it, best first; one pass for all of them.

        Equal scores may come in any order, and be cut anywhere.

        Raises:
            ValueError: a row is not finite or not of the collection's dimension.
            InvalidQuery: the filter names an attribute that is not declared.
        """
        self._check_rows(rows, "the query")
        if not len(rows):
            return []
        passing = self._where(where)
        found = self._store.nearest(rows, passing, self._strategy(passing, limit), limit=limit)
        return [[Hit(_stored(point), _bounded(point.score)) for point in points] for points in found]

    def facet(self, field: str, where: Filter, *, limit: int = 1000) -> dict[str, int]:
        """Count live, searchable products by value of `field` (category, brand or attributes.KEY).

        A product counts for its category and every category above it. Values of an attribute are
        text, as `attribute_token` makes it.

        Raises:
            InvalidQuery: `field` is none of these, or an attribute is not declared.
        """
        return self._store.facet(self._schema.facet_field(field), self._where(where), limit=limit)

    def count(self, where: Filter) -> int:
        """Count live, searchable products exactly."""
        return self._store.count(self._where(where))

    def scroll(
        self, where: Filter, *, limit: int = 256, cursor: str | None = None, vectors: bool = False
    ) -> Page:
        """Return live products (searchable or not) in a stable order, a page at a time."""
        points, following = self._store.scroll(
            self._where(where, LIVE), limit=limit, start=cursor, vectors=vectors
        )
        return Page(tuple(_stored(point) for point in points), following)

    def census(self, *, limit: int = 1024, cursor: str | None = None, states: bool = False) -> CensusPage:
        """Return a little of every point, tombstones and stubs too, in a stable order, a page at a time."""
        fields = CENSUS if not states else (*CENSUS, "state")
        points, following = self._store.scroll(Where(), limit=limit, start=cursor, fields=fields)
        return CensusPage(tuple(census_of(point.payload) for point in points), following)

    def states(self, ids: Sequence[str]) -> dict[str, str]:
        """Return the texts that the states of these products are kept as."""
        points = self._store.retrieve([self._schema.point_id(i) for i in ids], fields=("id", "state"))
        return {point.payload["id"]: point.payload["state"] for point in points}

    def size(self) -> int:
        """Count every point, tombstones and stubs included."""
        return self._store.count(Where())

    def ping(self) -> None:
        """Return if the index answers."""
        self._store.ping()

    def close(self) -> None:
        """Flush and let go; safe to call twice."""
        self._store.close()

    def _own(self, point: FoundPoint) -> StoredProduct:
        """As if its images were not embedded yet, where another encoder made its rows."""
        stored = _stored(point)
        if point.payload["encoder"] == self.fingerprint:
            return stored
        images = tuple(IndexedImage(image.uri, error=image.error) for image in stored.images)
        vectors = None if stored.vectors is None else stored.vectors[:0]
        return replace(stored, images=images, vectors=vectors)

    def _where(self, filter_: Filter, status: tuple[str, ...] = SEARCHABLE) -> Where:
        return conditions(filter_, status, self._schema)

    def _strategy(self, where: Where, wanted: int) -> Strategy:
        if self._store.has_graph:
            return self._estimates.strategy(where, wanted)
        return CODES if self._store.storage in CODED else EXACT

    def _operations(self, writes: Sequence[Write], ids: Iterable[str]) -> Iterator[Operation]:
        """Whole points in at most two operations, removals in one; and one for each payload-only write."""
        missing: list[NewPoint] = []
        known: list[NewPoint] = []
        revs: list[int] = []
        gone: dict[str, int] = {}
        write_id = uuid4().hex
        for write, point_id in zip(writes, ids, strict=True):
            if write.state == UNKNOWN:
                assert write.expected_rev is not None
                gone[point_id] = write.expected_rev
                continue
            payload = payload_of(write, write_id=write_id, fingerprint=self.fingerprint)
            if write.vectors is None:
                assert write.expected_rev is not None
                yield OverwritePayload(point_id, write.expected_rev, payload)
            elif write.expected_rev is None:
                missing.append(NewPoint(point_id, payload, write.vectors))
            else:
                known.append(NewPoint(point_id, payload, write.vectors))
                revs.append(write.expected_rev)
        if missing:
            yield Insert(tuple(missing))
        if known:
            yield Replace(tuple(known), tuple(revs))
        if gone:
            yield Remove(tuple(gone), tuple(gone.values()))

    def _nearest(
        self, rows: Vectors, where: Filter, strategy: Strategy | None, wanted: int, with_vectors: bool
    ) -> list[list[FoundPoint]]:
        """For every row the best `wanted`, and those of the same score as the last of them.

        Shops reuse a photo for many products, and engines cut such a tie anywhere: pages would
        overlap.
        """
        passing = self._where(where)
        taken = strategy or self._strategy(passing, wanted)
        metrics.SEARCHES.labels(taken.name).inc()
        log.debug("index_searched", extra={"strategy": taken.name, "ef": taken.ef})
        size = wanted + 1
        while True:
            found = self._store.nearest(rows, passing, taken, limit=size, vectors=with_vectors)
            cut = any(len(p) == size and p[-1].score == p[wanted - 1].score for p in found)
            if not cut or size > wanted + _MOST_TIES:
                return found
            size = wanted + 4 * (size - wanted)

    def _check(self, write: Write) -> None:
        if write.state == UNKNOWN and write.expected_rev is None:
            raise ValueError(f"{write.id}: a missing point can't be removed")
        if write.vectors is None:
            if write.expected_rev is None:
                raise ValueError(f"{write.id}: a missing point can't be written without an array of vectors")
            return
        self._check_rows(write.vectors, write.id)
        rows = [image.row for image in write.images if image.row is not None]
        if rows and not 0 <= min(rows) <= max(rows) < len(write.vectors):
            raise ValueError(f"{write.id}: an image names a row that is not among {len(write.vectors)}")

    def _check_rows(self, rows: Vectors, what: str) -> None:
        if rows.ndim != 2 or (len(rows) and rows.shape[1] != self._store.dimension):
            raise ValueError(f"{what}: rows of shape {rows.shape}, expected (N, {self._store.dimension})")
        if not np.isfinite(rows).all():
            raise ValueError(f"{what}: a row is not finite")


def _stored(point: FoundPoint) -> StoredProduct:
    return stored_of(point.payload, point.vectors)


def _bounded(score: float) -> float:
    """A cosine: rounding may leave [-1, 1]."""
    return min(1.0, max(-1.0, score))
