"""What only the server engine has. No Qdrant server is run: see conftest.py."""

from collections.abc import Iterator
from pathlib import Path

import pytest
import qdrant_edge as edge
from qdrant_client import grpc as q

from recommender.catalog import Filter
from recommender.errors import IndexUnavailable, StartupError
from recommender.index.open import open_engine
from recommender.index.protocol import IndexEngine
from recommender.index.strategy import EXACT, Strategy
from tests.conftest import MakeSettings
from tests.integration.index.builders import DIMENSION, first, rows
from tests.integration.index.qdrant_servicer import QdrantState, qdrant_server

FINGERPRINT = "compact-1"


@pytest.fixture
def server(folder: Path) -> Iterator[tuple[int, QdrantState]]:
    with qdrant_server(folder) as running:
        yield running


@pytest.fixture
def engine(server: tuple[int, QdrantState], make_settings: MakeSettings) -> Iterator[IndexEngine]:
    engine = open_engine(make_settings(index={"url": "http://127.0.0.1", "grpc_port": server[0]}))
    engine.create(FINGERPRINT, DIMENSION)
    yield engine
    engine.close()


def test_an_old_server_is_refused_at_start_up(
    server: tuple[int, QdrantState], make_settings: MakeSettings
) -> None:
    port, state = server
    settings = make_settings(index={"url": "http://127.0.0.1", "grpc_port": port})
    state.version = "1.16.3"
    with pytest.raises(StartupError, match=r"is 1\.16\.3; writing by condition needs 1\.17 or newer"):
        open_engine(settings)
    state.version = "2.0.0-dev"
    open_engine(settings).close()


def test_a_server_that_is_away_is_a_passing_failure(make_settings: MakeSettings, free_port: int) -> None:
    settings = make_settings(index={"url": "http://127.0.0.1", "grpc_port": free_port, "timeout_s": 2})
    with pytest.raises(IndexUnavailable, match=r"UNAVAILABLE|DEADLINE_EXCEEDED"):
        open_engine(settings)


def test_a_collection_that_vanished_is_a_passing_failure(engine: IndexEngine) -> None:
    index = engine.open(FINGERPRINT)
    engine.drop(FINGERPRINT)
    with pytest.raises(IndexUnavailable, match="NOT_FOUND"):
        index.count(Filter())


@pytest.mark.parametrize("status", [q.UpdateStatus.WaitTimeout, q.UpdateStatus.Acknowledged])
def test_a_write_that_did_not_complete_in_time_counts_as_failed(
    engine: IndexEngine, server: tuple[int, QdrantState], status: int
) -> None:
    index = engine.open(FINGERPRINT)
    server[1].update_status = status
    with pytest.raises(IndexUnavailable, match=r"wait_timeout|acknowledged"):
        index.write([first("a", rows(1))])


def test_a_batch_is_one_strongly_ordered_request(
    engine: IndexEngine, server: tuple[int, QdrantState]
) -> None:
    index = engine.open(FINGERPRINT)
    index.write([first(f"p{n}", rows(1)) for n in range(50)])
    (request,) = server[1].requests
    assert [operation.WhichOneof("operation") for operation in request.operations] == ["upsert"]
    assert request.wait
    assert request.ordering.type == q.WriteOrderingType.Strong


def test_a_query_vector_of_many_rows_is_never_sent(
    engine: IndexEngine, server: tuple[int, QdrantState]
) -> None:
    index = engine.open(FINGERPRINT)
    index.write([first("a", rows(3))])
    server[1].requests.clear()
    index.search(rows(3), Filter(), limit=5)
    (request,) = server[1].requests
    assert [len(query.query.nearest.multi_dense.vectors) for query in request.query_points] == [1, 1, 1]


def test_a_creation_that_was_cut_short_is_finished(
    engine: IndexEngine, server: tuple[int, QdrantState]
) -> None:
    shard = server[1].collections["lookalike.compact-1"].shard
    shard.update(edge.UpdateOperation.delete_field_index("brand"))
    assert "brand" not in shard.info().payload_schema
    engine.create(FINGERPRINT, DIMENSION)
    assert "brand" in shard.info().payload_schema


def test_a_strategy_is_rendered(engine: IndexEngine, server: tuple[int, QdrantState]) -> None:
    index = engine.open(FINGERPRINT)
    index.write([first("a", rows(1))])
    server[1].requests.clear()
    acorn = Strategy("acorn", acorn=True, ef=256)
    for strategy in (None, EXACT, Strategy("wide", ef=512), acorn):
        assert len(index.search(rows(1), Filter(), limit=5, strategy=strategy)) == 1
    params = [request.query_points[0].params for request in server[1].requests]
    assert [each.exact for each in params] == [True, True, False, False]  # so few are compared one by one
    assert [each.hnsw_ef for each in params] == [0, 0, 512, 256]
    assert [each.acorn.enable for each in params] == [False, False, False, True]
    assert params[3].acorn.max_selectivity == 1.0
