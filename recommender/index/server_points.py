"""Points on a Qdrant server, over gRPC."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

import grpc  # type: ignore[import-untyped]  # its wheel carries no types
import numpy as np
from qdrant_client import QdrantClient, models
from qdrant_client.common.client_exceptions import QdrantException

from config.settings import Storage
from recommender.errors import IndexUnavailable, ShuttingDown
from recommender.index.filters import Between, Condition, OneOf, PointIs, Where, at_revision
from recommender.index.points import (
    FoundPoint,
    Insert,
    NewPoint,
    Operation,
    OverwritePayload,
    Remove,
    Replace,
    points_of,
)
from recommender.index.protocol import Vectors
from recommender.index.schema import VECTOR
from recommender.index.server_storage import search_of_codes
from recommender.index.storage import as_asked
from recommender.index.strategy import Strategy

# What we sent is at fault, so that the same request fails again; anything else may pass.
_OUR_FAULT = (grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.UNIMPLEMENTED)

# Compare-and-swap on replicas: writes go through the leader, reads ask more than half. On one node both
# cost nothing.
_ORDERING = models.WriteOrdering.STRONG
_CONSISTENCY = models.ReadConsistencyType.MAJORITY


@contextmanager
def answering() -> Iterator[None]:
    """Translate what the client raises when the server fails or doesn't answer."""
    try:
        yield
    except grpc.RpcError as error:
        if error.code() in _OUR_FAULT:
            raise
        raise IndexUnavailable(f"Qdrant: {error.code().name}: {error.details()}") from error
    except QdrantException as error:
        raise IndexUnavailable(f"Qdrant: {error}") from error


class ServerStore:
    """One collection of a server; implements `PointStore`. The client is the engine's to close."""

    has_graph = True  # the server builds one in the background, as soon as a segment is large enough

    def __init__(
        self,
        client: QdrantClient,
        collection: str,
        dimension: int,
        storage: Storage,
        *,
        rescore: bool,
    ) -> None:
        self.dimension = dimension
        self.storage: Storage = storage
        self._codes = search_of_codes(storage, rescore=rescore)
        self._client = client
        self._collection = collection
        self._closed = False

    def retrieve(
        self, ids: Sequence[str], *, fields: Sequence[str] | None = None, vectors: bool = False
    ) -> list[FoundPoint]:
        """Read the points that exist, in any order; `fields` None reads the whole payload."""
        with self._answering():
            records = self._client.retrieve(
                self._collection,
                list(ids),
                with_payload=True if fields is None else list(fields),
                with_vectors=vectors,
                consistency=_CONSISTENCY,
            )
        return [self._found(record, vectors) for record in records]

    def apply(self, operations: Sequence[Operation]) -> set[str]:
        """Apply the operations in one request; return the ids that were written.

        A write that lost is skipped without a word, so what is there now has to be asked. One that won and
        was overwritten since counts as lost: merging it again changes nothing.
        """
        with self._answering():
            results = self._client.batch_update_points(
                self._collection,
                [_update(operation) for operation in operations],
                wait=True,
                ordering=_ORDERING,
            )
        # A write that takes too long answers so instead of raising, and may yet be applied.
        unfinished = {str(r.status) for r in results if r.status != models.UpdateStatus.COMPLETED}
        if unfinished:
            raise IndexUnavailable(f"Qdrant: a write ended as {', '.join(sorted(unfinished))}")
        ids = [point_id for operation in operations for point_id in points_of(operation)]
        with self._answering():
            records = self._client.retrieve(
                self._collection, ids, with_payload=["write_id"], consistency=_CONSISTENCY
            )
        wrote = next(
            (_write_id(operation) for operation in operations if not isinstance(operation, Remove)), None
        )
        # A removal has won where nothing is left.
        there = {str(record.id): (record.payload or {}).get("write_id") for record in records}
        removed = {i for operation in operations if isinstance(operation, Remove) for i in operation.ids}
        return (removed - there.keys()) | {i for i, write_id in there.items() if write_id == wrote}

    def nearest(
        self, rows: Vectors, where: Where, strategy: Strategy, *, limit: int, vectors: bool = False
    ) -> list[list[FoundPoint]]:
        """For each of the (Q, D) rows the best points, best first, by the cosine of their best row."""
        requests = [
            models.QueryRequest(
                query=models.NearestQuery(nearest=[row.tolist()]),
                using=VECTOR,
                filter=_filter(where),
                params=_params(strategy, self._codes),
                limit=limit,
                with_payload=True,
                with_vector=vectors,
            )
            for row in rows
        ]
        with self._answering():
            answers = self._client.query_batch_points(self._collection, requests)
        return [[self._found(point, vectors, point.score) for point in answer.points] for answer in answers]

    def facet(self, field: str, where: Where, *, limit: int) -> dict[str, int]:
        """Count matching points by value, most frequent first."""
        with self._answering():
            answer = self._client.facet(
                self._collection, field, facet_filter=_filter(where), limit=limit, exact=True
            )
        return {str(hit.value): hit.count for hit in answer.hits if hit.count}

    def count(self, where: Where, *, exact: bool = True) -> int:
        """Count matching points; from the payload indexes' statistics alone where not `exact`."""
        with self._answering():
            return self._client.count(self._collection, count_filter=_filter(where), exact=exact).count

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
            records, following = self._client.scroll(
                self._collection,
                scroll_filter=_filter(where),
                limit=limit,
                offset=start,
                with_payload=True if fields is None else list(fields),
                with_vectors=vectors,
            )
        return [self._found(record, vectors) for record in records], str(following) if following else None

    def ping(self) -> None:
        """Return if the server answers."""
        with self._answering():
            self._client.info()

    def close(self) -> None:
        """Answer no more; safe to call twice."""
        self._closed = True

    @contextmanager
    def _answering(self) -> Iterator[None]:
        if self._closed:
            raise ShuttingDown("the index is closed")
        with answering():
            yield

    def _found(
        self, point: models.Record | models.ScoredPoint, with_vectors: bool, score: float = 0.0
    ) -> FoundPoint:
        vectors = as_asked(_rows(point.vector, self.dimension), self.storage) if with_vectors else None
        return FoundPoint(point.payload or {}, vectors, score)


def _rows(vector: object, dimension: int) -> Vectors:
    """(N, D) float32; no rows for a point without the vector."""
    rows = vector.get(VECTOR, []) if isinstance(vector, dict) else []
    return np.asarray(rows, dtype=np.float32).reshape(-1, dimension)


def _update(operation: Operation) -> models.UpdateOperation:
    if isinstance(operation, OverwritePayload):
        overwrite = models.SetPayload(
            payload=dict(operation.payload), filter=_at_revision([operation.id], [operation.rev])
        )
        return models.OverwritePayloadOperation(overwrite_payload=overwrite)
    if isinstance(operation, Remove):
        gone = models.FilterSelector(filter=_at_revision(operation.ids, operation.revs))
        return models.DeleteOperation(delete=gone)
    points = [_point(point) for point in operation.points]
    if isinstance(operation, Insert):
        upsert = models.PointsList(points=points, update_mode=models.UpdateMode.INSERT_ONLY)
    else:
        upsert = models.PointsList(
            points=points,
            update_filter=_at_revision([point.id for point in operation.points], operation.revs),
            update_mode=models.UpdateMode.UPDATE_ONLY,
        )
    return models.UpsertOperation(upsert=upsert)


def _write_id(operation: Insert | Replace | OverwritePayload) -> object:
    payload = operation.payload if isinstance(operation, OverwritePayload) else operation.points[0].payload
    return payload["write_id"]


def _at_revision(ids: Sequence[str], revs: Sequence[int]) -> models.Filter:
    return _filter(at_revision(zip(ids, revs, strict=True)))


def _point(point: NewPoint) -> models.PointStruct:
    vector = {VECTOR: point.vectors.tolist()} if len(point.vectors) else {}
    return models.PointStruct(id=point.id, vector=vector, payload=dict(point.payload))


def _params(strategy: Strategy, codes: models.QuantizationSearchParams | None) -> models.SearchParams:
    acorn = models.AcornSearchParams(enable=True, max_selectivity=1.0) if strategy.acorn else None
    return models.SearchParams(exact=strategy.exact, hnsw_ef=strategy.ef, acorn=acorn, quantization=codes)


def _filter(where: Where) -> models.Filter:
    return models.Filter(
        must=[_condition(condition) for condition in where.must] or None,
        must_not=[_condition(condition) for condition in where.must_not] or None,
        should=[_condition(condition) for condition in where.should] or None,
    )


def _condition(condition: Condition) -> models.FieldCondition | models.HasIdCondition | models.Filter:
    match condition:
        case OneOf(field, values):
            return models.FieldCondition(key=field, match=models.MatchAny(any=values))
        case Between(field, low, high):
            return models.FieldCondition(key=field, range=models.Range(gte=low, lte=high))
        case PointIs(ids):
            return models.HasIdCondition(has_id=list(ids))
        case Where():
            return _filter(condition)
