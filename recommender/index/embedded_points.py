"""Points in Qdrant Edge, Qdrant's own engine in this process, durable by its write-ahead log.

Its calls are thread-safe, and every one holds the interpreter lock throughout. A graph is built by
`optimize()` alone, which stops the whole process for its duration and is called here only to make codes of
one byte, without a graph: a shard has one only if something else has built it.

Its log keeps the conditions of a write as they are and decides them anew when it is replayed. A kill in
the middle of a flush leaves segments that are in part ahead of the log, so that "rev is what was read"
no longer holds there and the write would be lost. So conditions are decided here, by the one process
that owns the shard, and the log names points.
"""

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import partial
from pathlib import Path
from threading import Lock

import numpy as np
import qdrant_edge as edge

from config.settings import Storage
from recommender.errors import IndexInUse, IndexUnavailable, ShuttingDown
from recommender.index.embedded_storage import search_of_codes, shard_config
from recommender.index.filters import Between, Condition, OneOf, PointIs, Where
from recommender.index.points import (
    FoundPoint,
    NewPoint,
    Operation,
    OverwritePayload,
    Remove,
    Replace,
    points_of,
)
from recommender.index.protocol import Collection, Vectors
from recommender.index.schema import VECTOR, IndexKind, Schema
from recommender.index.storage import as_asked
from recommender.index.strategy import Strategy

_SCHEMA_TYPE: dict[IndexKind, edge.PayloadSchemaType] = {
    "keyword": edge.PayloadSchemaType.Keyword,
    "integer": edge.PayloadSchemaType.Integer,
    "float": edge.PayloadSchemaType.Float,
}
# The log shrinks when what it says is flushed, which stops the process for about 0.2 s; and the next
# start replays the rest of it, about 8,000 points a second.
_FLUSH_EVERY_POINTS = 4096
_ROWS_A_PASS = (
    8  # the engine reads every point once a pass; more gain little, and nobody else can go on meanwhile
)
_LOCKED = "WouldBlock"  # in what load() raises while another process holds the write-ahead log


class EdgeStore:
    """One shard, opened; implements `PointStore`.

    Args:
        folder: of the shard.
        dimension: of a row.
        storage: that the shard was created with.
        rescore: whether what codes find is compared by the rows, too.

    Raises:
        IndexInUse: another process owns it.
    """

    def __init__(
        self, folder: Path, dimension: int, storage: Storage = "float32", *, rescore: bool = True
    ) -> None:
        self.dimension = dimension
        self.storage: Storage = storage
        self.closed = False
        self._codes = search_of_codes(storage, rescore=rescore)
        self._unflushed = 0
        self._deciding = Lock()  # from the decision to the write
        with self._answering():
            self._shard = _load(folder)
            self.has_graph = storage != "int8" and self._shard.info().indexed_vectors_count > 0

    def ensure_indexes(self, schema: Schema) -> None:
        """Create the payload indexes that are missing."""
        with self._answering():
            existing = self._shard.info().payload_schema
            for field, kind in schema.payload_indexes.items():
                if field not in existing:
                    self._shard.update(edge.UpdateOperation.create_field_index(field, _SCHEMA_TYPE[kind]))

    def encode(self) -> None:
        """Make the codes that the engine doesn't make as it writes; where it does, or has them, a no-op.

        Stops every thread (1.3 s for 60,000 x 512-d), so that it belongs before the first search; what is
        written later is compared by its rows until then.
        """
        if self.storage == "int8":
            with self._answering():
                self._shard.optimize()

    def describe(self, schema: Schema) -> Collection:
        """Look at the shard, which says of its vectors only what its maker wrote beside it."""
        with self._answering():
            info = self._shard.info()
        indexed = {field: index.data_type for field, index in info.payload_schema.items()}
        wanted = {field: _SCHEMA_TYPE[kind] for field, kind in schema.payload_indexes.items()}
        missing = tuple(field for field, kind in wanted.items() if indexed.get(field) != kind)
        return Collection(info.points_count, self.dimension, "cosine", missing, self.storage)

    def retrieve(
        self, ids: Sequence[str], *, fields: Sequence[str] | None = None, vectors: bool = False
    ) -> list[FoundPoint]:
        """Read the points that exist, in any order; `fields` None reads the whole payload."""
        with self._answering():
            records = self._shard.retrieve(list(ids), True if fields is None else list(fields), vectors)
        return [self._found(record, vectors) for record in records]

    def apply(self, operations: Sequence[Operation]) -> set[str]:
        """Apply the operations; each is atomic, and in the write-ahead log on return.

        Blocks every thread while it runs, and longer by a flush now and then.
        """
        written: set[str] = set()
        with self._answering(), self._deciding:
            revs = self._revs([point_id for operation in operations for point_id in points_of(operation)])
            for operation in operations:
                decided, ids = _decided(operation, revs)
                if decided is not None:
                    self._shard.update(decided)
                written.update(ids)
            self._unflushed += len(written)
            if self._unflushed >= _FLUSH_EVERY_POINTS:
                self.flush()
        return written

    def nearest(
        self, rows: Vectors, where: Where, strategy: Strategy, *, limit: int, vectors: bool = False
    ) -> list[list[FoundPoint]]:
        """For each of the (Q, D) rows the best points, best first, by the cosine of their best row."""
        request = partial(
            edge.QueryRequest,
            limit=limit,
            filter=_filter(where),
            params=_params(strategy, self._codes),
            with_payload=True,
            with_vector=vectors,
        )
        requests = [request(query=edge.Query.Nearest([row.tolist()], using=VECTOR)) for row in rows]
        found: list[list[FoundPoint]] = []
        for at in range(0, len(requests), _ROWS_A_PASS):
            with self._answering():
                answers = self._shard.query_batch(edge.QueryBatchRequest(requests[at : at + _ROWS_A_PASS]))
            found += [[self._found(point, vectors, point.score) for point in points] for points in answers]
        return found

    def facet(self, field: str, where: Where, *, limit: int) -> dict[str, int]:
        """Count matching points by value, most frequent first."""
        with self._answering():
            answer = self._shard.facet(
                edge.FacetRequest(field, limit=limit, exact=True, filter=_filter(where))
            )
        return {str(hit.value): hit.count for hit in answer.hits if hit.count}

    def count(self, where: Where, *, exact: bool = True) -> int:
        """Count matching points; from the payload indexes' statistics alone where not `exact`."""
        with self._answering():
            return self._shard.count(edge.CountRequest(exact=exact, filter=_filter(where)))

    def scroll(
        self,
        where: Where,
        *,
        limit: int,
        start: str | None,
        fields: Sequence[str] | None = None,
        vectors: bool = False,
    ) -> tuple[list[FoundPoint], str | None]:
        """Read matching points in the order of their ids, from `start` on; and the next start.

        `fields` None reads the whole payload.
        """
        with self._answering():
            records, following = self._shard.scroll(
                edge.ScrollRequest(
                    offset=start,
                    limit=limit,
                    filter=_filter(where),
                    with_payload=True if fields is None else list(fields),
                    with_vector=vectors,
                )
            )
        return [self._found(record, vectors) for record in records], str(following) if following else None

    def ping(self) -> None:
        """Return if the shard is open and answers."""
        with self._answering():
            self._shard.info()

    def flush(self) -> None:
        """Bring what the log says into the segments, so that the log can shrink; stops every thread."""
        self._unflushed = 0
        with self._answering():
            self._shard.flush()

    def close(self) -> None:
        """Flush, so that the next start has no log to replay, and let go; safe to call twice."""
        if self.closed:
            return
        with self._answering():
            self.flush()
            self.closed = True
            self._shard.close()

    def _revs(self, ids: Sequence[str]) -> dict[str, int]:
        """The `rev` of each of these points that exists."""
        records = self._shard.retrieve(list(ids), ["rev"], False)
        return {str(record.id): (record.payload or {})["rev"] for record in records}

    def _found(
        self, point: edge.Record | edge.ScoredPoint, with_vectors: bool, score: float = 0.0
    ) -> FoundPoint:
        vectors = as_asked(_rows(point.vector, self.dimension), self.storage) if with_vectors else None
        return FoundPoint(point.payload or {}, vectors, score)

    @contextmanager
    def _answering(self) -> Iterator[None]:
        """Translate what the engine raises, which is `Exception` itself."""
        try:
            yield
        except Exception as error:
            if type(error) is not Exception:
                raise
            if self.closed:
                raise ShuttingDown("the index is closed") from error
            raise IndexUnavailable(f"the embedded index failed: {error}") from error


def _decided(operation: Operation, revs: Mapping[str, int]) -> tuple[edge.UpdateOperation | None, list[str]]:
    """The operation on those points that its condition holds for now, and which those are."""
    if isinstance(operation, OverwritePayload):
        if revs.get(operation.id) != operation.rev:
            return None, []
        return edge.UpdateOperation.overwrite_payload([operation.id], dict(operation.payload)), [operation.id]
    if isinstance(operation, Remove):
        found = [
            point_id
            for point_id, rev in zip(operation.ids, operation.revs, strict=True)
            if revs.get(point_id) == rev
        ]
        return edge.UpdateOperation.delete_points(list(found)) if found else None, found
    expected = operation.revs if isinstance(operation, Replace) else [None] * len(operation.points)
    points = [
        point for point, rev in zip(operation.points, expected, strict=True) if revs.get(point.id) == rev
    ]
    if not points:
        return None, []
    upsert = edge.UpdateOperation.upsert_points([_point(point) for point in points])
    return upsert, [point.id for point in points]


def create_shard(
    folder: Path, dimension: int, storage: Storage = "float32", *, codes_from_kb: int | None = None
) -> None:
    """Create an empty shard; `shard_config` says what of."""
    config = shard_config(dimension, storage, codes_from_kb=codes_from_kb)
    edge.EdgeShard.create(str(folder), config).close()


def _load(folder: Path) -> edge.EdgeShard:
    try:
        return edge.EdgeShard.load(str(folder))
    except Exception as error:
        if _LOCKED not in str(error):
            raise
        raise IndexInUse(
            f"another process owns the index in {folder}: ask it over HTTP, or stop it; "
            "several processes can share a Qdrant server (INDEX__URL=http://...)"
        ) from error


def _rows(vector: object, dimension: int) -> Vectors:
    """(N, D) float32; no rows for a point without the vector."""
    rows = vector.get(VECTOR, []) if isinstance(vector, dict) else []
    return np.asarray(rows, dtype=np.float32).reshape(-1, dimension)


def _point(point: NewPoint) -> edge.Point:
    vector = {VECTOR: point.vectors.tolist()} if len(point.vectors) else {}
    return edge.Point(point.id, vector, dict(point.payload))


def _params(strategy: Strategy, codes: edge.QuantizationSearchParams | None) -> edge.SearchParams:
    acorn = edge.AcornSearchParams(enable=True, max_selectivity=1.0) if strategy.acorn else None
    return edge.SearchParams(exact=strategy.exact, hnsw_ef=strategy.ef, acorn=acorn, quantization=codes)


def _filter(where: Where) -> edge.Filter:
    return edge.Filter(
        must=[_condition(condition) for condition in where.must] or None,
        must_not=[_condition(condition) for condition in where.must_not] or None,
        should=[_condition(condition) for condition in where.should] or None,
    )


def _condition(condition: Condition) -> edge.FieldCondition | edge.HasIdCondition | edge.Filter:
    match condition:
        case OneOf(field, values):
            return edge.FieldCondition(field, match=edge.MatchAny(values))
        case Between(field, low, high):
            return edge.FieldCondition(field, range=edge.RangeFloat(gte=low, lte=high))
        case PointIs(ids):
            return edge.HasIdCondition(set(ids))
        case Where():
            return _filter(condition)
