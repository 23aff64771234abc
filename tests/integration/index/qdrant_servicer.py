"""A Qdrant server for tests: the gRPC services, on loopback, answered by Qdrant's own embedded engine.

It lets the server engine be driven over real gRPC where no Qdrant server runs. It knows the calls and
conditions that Lookalike uses and refuses every other; it has one node, so that ordering and
consistency are accepted and mean nothing.
"""
# ruff: noqa: ARG002, N802  # the generated base classes name the methods and their arguments

import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import qdrant_edge as edge
from qdrant_client import grpc as q
from qdrant_client.conversions.conversion import grpc_to_payload, payload_to_grpc

_FIELD_TYPES = {
    q.FieldTypeKeyword: edge.PayloadSchemaType.Keyword,
    q.FieldTypeInteger: edge.PayloadSchemaType.Integer,
    q.FieldTypeFloat: edge.PayloadSchemaType.Float,
}
_SCHEMA_TYPES = {
    edge.PayloadSchemaType.Keyword: q.Keyword,
    edge.PayloadSchemaType.Integer: q.Integer,
    edge.PayloadSchemaType.Float: q.Float,
}
_UPDATE_MODES = {
    q.Upsert: edge.UpdateMode.Upsert,
    q.InsertOnly: edge.UpdateMode.InsertOnly,
    q.UpdateOnly: edge.UpdateMode.UpdateOnly,
}


_DATATYPES = {
    q.Datatype.Default: edge.VectorStorageDatatype.Float32,
    q.Datatype.Float16: edge.VectorStorageDatatype.Float16,
}


@dataclass
class Collection:
    shard: edge.EdgeShard
    creation: q.CreateCollection


@dataclass
class QdrantState:
    """What the services share, and what a test may make of it."""

    folder: Path
    collections: dict[str, Collection] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    version: str = "1.20.0"
    update_status: Any = q.UpdateStatus.Completed
    requests: list[Any] = field(default_factory=list)

    def shard(self, name: str, context: grpc.ServicerContext) -> edge.EdgeShard:
        name = self.aliases.get(name, name)
        if name not in self.collections:
            context.abort(grpc.StatusCode.NOT_FOUND, f"Collection `{name}` doesn't exist!")
        return self.collections[name].shard


class Health(q.QdrantServicer):
    def __init__(self, state: QdrantState) -> None:
        self.state = state

    def HealthCheck(self, request: Any, context: Any) -> Any:
        return q.HealthCheckReply(title="qdrant - vector search engine", version=self.state.version)


class Collections(q.CollectionsServicer):
    def __init__(self, state: QdrantState) -> None:
        self.state = state

    def CollectionExists(self, request: Any, context: Any) -> Any:
        exists = request.collection_name in self.state.collections
        return q.CollectionExistsResponse(result=q.CollectionExists(exists=exists))

    def List(self, request: Any, context: Any) -> Any:
        names = [q.CollectionDescription(name=name) for name in self.state.collections]
        return q.ListCollectionsResponse(collections=names)

    def Create(self, request: Any, context: Any) -> Any:
        name = request.collection_name
        if name in self.state.collections:
            context.abort(grpc.StatusCode.ALREADY_EXISTS, f"Collection `{name}` already exists!")
        vectors = {
            vector: edge.EdgeVectorParams(
                size=params.size,
                distance={q.Cosine: edge.Distance.Cosine}[params.distance],
                multivector_config=edge.MultiVectorConfig(
                    {q.MaxSim: edge.MultiVectorComparator.MaxSim}[params.multivector_config.comparator]
                ),
                datatype=_DATATYPES[params.datatype],
                quantization_config=_codes(params.quantization_config),
            )
            for vector, params in request.vectors_config.params_map.map.items()
        }
        shard = edge.EdgeShard.create(str(self.state.folder / name), edge.EdgeConfig(vectors=vectors))
        self.state.collections[name] = Collection(shard, request)
        return q.CollectionOperationResponse(result=True)

    def Get(self, request: Any, context: Any) -> Any:
        shard = self.state.shard(request.collection_name, context)
        creation = self.state.collections[request.collection_name].creation
        config = q.CollectionConfig(
            params=q.CollectionParams(shard_number=1, vectors_config=creation.vectors_config),
            hnsw_config=q.HnswConfigDiff(m=16, ef_construct=100, full_scan_threshold=10_000),
            optimizer_config=q.OptimizersConfigDiff(
                deleted_threshold=0.2,
                vacuum_min_vector_number=1000,
                default_segment_number=0,
                flush_interval_sec=5,
            ),
            wal_config=q.WalConfigDiff(wal_capacity_mb=32, wal_segments_ahead=0),
            metadata=creation.metadata,
        )
        info = shard.info()
        schema = {
            name: q.PayloadSchemaInfo(data_type=_SCHEMA_TYPES[index.data_type], points=index.points)
            for name, index in info.payload_schema.items()
        }
        return q.GetCollectionInfoResponse(
            result=q.CollectionInfo(
                status=q.Green,
                optimizer_status=q.OptimizerStatus(ok=True),
                segments_count=info.segments_count,
                config=config,
                payload_schema=schema,
                points_count=info.points_count,
            )
        )

    def Delete(self, request: Any, context: Any) -> Any:
        collection = self.state.collections.pop(request.collection_name, None)
        if collection:
            collection.shard.close()
            shutil.rmtree(self.state.folder / request.collection_name)
        return q.CollectionOperationResponse(result=collection is not None)

    def UpdateAliases(self, request: Any, context: Any) -> Any:
        after = dict(self.state.aliases)
        for action in request.actions:
            kind = action.WhichOneof("action")
            if kind == "delete_alias" and action.delete_alias.alias_name in after:
                del after[action.delete_alias.alias_name]
            elif kind == "create_alias" and action.create_alias.alias_name not in after:
                after[action.create_alias.alias_name] = action.create_alias.collection_name
            else:
                context.abort(grpc.StatusCode.INVALID_ARGUMENT, f"can't {action}")
        self.state.aliases = after
        return q.CollectionOperationResponse(result=True)

    def ListAliases(self, request: Any, context: Any) -> Any:
        aliases = self.state.aliases.items()
        return q.ListAliasesResponse(
            aliases=[q.AliasDescription(alias_name=a, collection_name=c) for a, c in aliases]
        )


class Points(q.PointsServicer):
    def __init__(self, state: QdrantState) -> None:
        self.state = state

    def CreateFieldIndex(self, request: Any, context: Any) -> Any:
        shard = self.state.shard(request.collection_name, context)
        kind = _FIELD_TYPES[request.field_type]
        shard.update(edge.UpdateOperation.create_field_index(request.field_name, kind))
        return q.PointsOperationResponse(result=q.UpdateResult(status=q.UpdateStatus.Completed))

    def UpdateBatch(self, request: Any, context: Any) -> Any:
        self.state.requests.append(request)
        shard = self.state.shard(request.collection_name, context)
        for operation in request.operations:
            shard.update(_update(operation))
        results = [q.UpdateResult(status=self.state.update_status) for _ in request.operations]
        return q.UpdateBatchResponse(result=results)

    def Get(self, request: Any, context: Any) -> Any:
        shard = self.state.shard(request.collection_name, context)
        payload, vectors = _with_payload(request.with_payload), request.with_vectors.enable
        records = shard.retrieve([_id(i) for i in request.ids], payload, vectors)
        return q.GetResponse(result=[_retrieved(record) for record in records])

    def Scroll(self, request: Any, context: Any) -> Any:
        shard = self.state.shard(request.collection_name, context)
        scroll = edge.ScrollRequest(
            offset=_id(request.offset) if request.HasField("offset") else None,
            limit=request.limit,
            filter=_filter(request.filter),
            with_payload=_with_payload(request.with_payload),
            with_vector=request.with_vectors.enable,
        )
        records, following = shard.scroll(scroll)
        return q.ScrollResponse(
            result=[_retrieved(record) for record in records],
            next_page_offset=q.PointId(uuid=str(following)) if following else None,
        )

    def Count(self, request: Any, context: Any) -> Any:
        shard = self.state.shard(request.collection_name, context)
        count = shard.count(edge.CountRequest(exact=request.exact, filter=_filter(request.filter)))
        return q.CountResponse(result=q.CountResult(count=count))

    def Facet(self, request: Any, context: Any) -> Any:
        shard = self.state.shard(request.collection_name, context)
        facet = edge.FacetRequest(
            request.key, limit=request.limit, exact=request.exact, filter=_filter(request.filter)
        )
        hits = [
            q.FacetHit(value=q.FacetValue(string_value=hit.value), count=hit.count)
            for hit in shard.facet(facet).hits
        ]
        return q.FacetResponse(hits=hits)

    def QueryBatch(self, request: Any, context: Any) -> Any:
        self.state.requests.append(request)
        shard = self.state.shard(request.collection_name, context)
        return q.QueryBatchResponse(
            result=[
                q.BatchResult(result=[_scored(point) for point in shard.query(_query(query))])
                for query in request.query_points
            ]
        )


@contextmanager
def qdrant_server(folder: Path, port: int = 0) -> Iterator[tuple[int, QdrantState]]:
    """Serve an empty Qdrant on this port of loopback, or a free one."""
    state = QdrantState(folder)
    server = grpc.server(ThreadPoolExecutor(8, thread_name_prefix="qdrant"))
    q.add_QdrantServicer_to_server(Health(state), server)
    q.add_CollectionsServicer_to_server(Collections(state), server)
    q.add_PointsServicer_to_server(Points(state), server)
    port = server.add_insecure_port(f"127.0.0.1:{port}")
    server.start()
    try:
        yield port, state
    finally:
        server.stop(grace=None).wait()
        for collection in state.collections.values():
            collection.shard.close()


def _id(point_id: Any) -> str:
    assert point_id.WhichOneof("point_id_options") == "uuid"
    return str(point_id.uuid)


def _with_payload(selector: Any) -> bool | list[str]:
    if selector.WhichOneof("selector_options") == "include":
        return list(selector.include.fields)
    return bool(selector.enable)


def _update(operation: Any) -> edge.UpdateOperation:
    kind = operation.WhichOneof("operation")
    if kind == "overwrite_payload":
        selector = operation.overwrite_payload.points_selector
        assert selector.WhichOneof("points_selector_one_of") == "filter"
        payload = grpc_to_payload(operation.overwrite_payload.payload)
        return edge.UpdateOperation.overwrite_payload_by_filter(_filter(selector.filter), payload)
    if kind == "delete_points":
        selector = operation.delete_points.points
        assert selector.WhichOneof("points_selector_one_of") == "filter"
        return edge.UpdateOperation.delete_points_by_filter(_filter(selector.filter))
    assert kind == "upsert", f"{kind} is not known here"
    upsert = operation.upsert
    return edge.UpdateOperation.upsert_points(
        [_point(point) for point in upsert.points],
        _filter(upsert.update_filter) if upsert.HasField("update_filter") else None,
        _UPDATE_MODES[upsert.update_mode],
    )


def _point(point: Any) -> edge.Point:
    vectors = {
        name: [list(row.data) for row in vector.multi_dense.vectors]
        for name, vector in point.vectors.vectors.vectors.items()
    }
    return edge.Point(_id(point.id), vectors, grpc_to_payload(point.payload))


def _query(query: Any) -> edge.QueryRequest:
    nearest = query.query.nearest
    assert nearest.WhichOneof("variant") == "multi_dense"
    return edge.QueryRequest(
        query=edge.Query.Nearest([list(row.data) for row in nearest.multi_dense.vectors], using=query.using),
        filter=_filter(query.filter),
        params=_params(query.params),
        limit=query.limit,
        with_payload=_with_payload(query.with_payload),
        with_vector=query.with_vectors.enable,
    )


def _params(params: Any) -> edge.SearchParams:
    """Without a graph there is nothing but codes that a search could be inexact by."""
    if params.exact or not params.HasField("quantization"):
        return edge.SearchParams(exact=True)
    asked = {name.name: value for name, value in params.quantization.ListFields()}
    return edge.SearchParams(quantization=edge.QuantizationSearchParams(**asked))


def _codes(config: Any) -> Any:
    kind = config.WhichOneof("quantization")
    if kind == "turboquant":
        assert config.turboquant.bits == q.TurboQuantBitSize.Bits4
        return edge.TurboQuantQuantizationConfig(bits=edge.TurboQuantBitSize.Bits4)
    if kind == "scalar":
        return edge.ScalarQuantizationConfig(edge.ScalarType.Int8)
    assert kind is None, f"{kind} is not known here"
    return None


def _filter(filter_: Any) -> edge.Filter:
    assert not filter_.HasField("min_should")
    return edge.Filter(
        must=[_condition(condition) for condition in filter_.must] or None,
        must_not=[_condition(condition) for condition in filter_.must_not] or None,
        should=[_condition(condition) for condition in filter_.should] or None,
    )


def _condition(condition: Any) -> Any:
    kind = condition.WhichOneof("condition_one_of")
    if kind == "filter":
        return _filter(condition.filter)
    if kind == "has_id":
        return edge.HasIdCondition({_id(point_id) for point_id in condition.has_id.has_id})
    assert kind == "field", f"{kind} is not known here"
    if condition.field.HasField("range"):
        bounds = {name.name: value for name, value in condition.field.range.ListFields()}
        return edge.FieldCondition(condition.field.key, range=edge.RangeFloat(**bounds))
    match = condition.field.match
    name = match.WhichOneof("match_value")
    values = {"keywords": match.keywords.strings, "integers": match.integers.integers}[name]
    return edge.FieldCondition(condition.field.key, match=edge.MatchAny(list(values)))


def _vectors(vectors: Any) -> Any:
    named = {
        name: q.VectorOutput(
            multi_dense=q.MultiDenseVector(vectors=[q.DenseVector(data=row) for row in rows])
        )
        for name, rows in vectors.items()
    }
    return q.VectorsOutput(vectors=q.NamedVectorsOutput(vectors=named))


def _fields(point: Any) -> dict[str, Any]:
    fields = {"id": q.PointId(uuid=str(point.id)), "payload": payload_to_grpc(point.payload or {})}
    return fields if point.vector is None else {**fields, "vectors": _vectors(point.vector)}


def _retrieved(record: edge.Record) -> Any:
    return q.RetrievedPoint(**_fields(record))


def _scored(point: edge.ScoredPoint) -> Any:
    return q.ScoredPoint(score=point.score, version=point.version, **_fields(point))
