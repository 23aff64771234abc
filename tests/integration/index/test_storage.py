"""Every storage on every engine: what was written is found, changed and there again after a close."""

import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
import qdrant_edge as edge

from config.settings import Storage
from recommender.catalog import Filter
from recommender.errors import StartupError
from recommender.index.embedded_points import EdgeStore, create_shard
from recommender.index.open import open_engine
from recommender.index.products import PointIndex
from recommender.index.protocol import IndexEngine, ProductIndex, Vectors
from recommender.index.schema import Schema
from recommender.index.storage import CODED, STORAGES
from recommender.index.strategy import CODES, EXACT
from tests.conftest import MakeSettings
from tests.integration.index.builders import DIMENSION, first, rows, upserted, write
from tests.integration.index.conftest import FINGERPRINT, OpenShop
from tests.integration.index.qdrant_servicer import qdrant_server

PRODUCTS = 400
ROUNDING: dict[Storage, float] = {"float32": 1e-5, "float16": 5e-4, "int8": 1e-5, "turboquant": 1e-5}
"""How far a score may be from the cosine of the float32 rows; what codes find is compared by the rows."""

each_storage = pytest.mark.parametrize("storage", STORAGES)


def filled(engine: IndexEngine) -> ProductIndex:
    engine.create(FINGERPRINT, DIMENSION)
    index = engine.open(FINGERPRINT)
    assert not index.write([first(f"p{n}", rows(2, seed=n), brand=f"b{n % 2}") for n in range(PRODUCTS)])
    return index


def cosines(query: Vectors) -> dict[str, float]:
    return {f"p{n}": float((rows(2, seed=n) @ query[0]).max()) for n in range(PRODUCTS)}


@each_storage
def test_searches_find_the_nearest_and_score_by_cosine(open_shop: OpenShop, storage: Storage) -> None:
    index = filled(open_shop(storage=storage))
    found = 0
    for seed in range(20):
        query = rows(1, seed=10_000 + seed)
        truth = cosines(query)
        hits = index.search(query, Filter(), limit=10)
        for hit in hits:
            assert hit.score == pytest.approx(truth[hit.stored.id], abs=ROUNDING[storage])
        best = sorted(truth, key=lambda name: -truth[name])[:10]
        found += len({hit.stored.id for hit in hits} & set(best))
        odd = index.search(query, Filter(brand=("b1",)), limit=3)
        assert {int(hit.stored.id[1:]) % 2 for hit in odd} == {1}
    assert found >= 195  # of 200
    (itself, *_) = index.search(rows(2, seed=7)[1:], Filter(), limit=1)
    assert itself.stored.id == "p7"
    assert itself.score == pytest.approx(1.0, abs=ROUNDING[storage])
    assert itself.score <= 1


@each_storage
def test_rows_come_back_at_unit_norm_after_a_race_and_a_close(open_shop: OpenShop, storage: Storage) -> None:
    engine = open_shop(storage=storage)
    index = filled(engine)
    newer = upserted("p3", 2, after=upserted("p3"), brand="new")
    assert index.write([write("p3", 7, newer, rows(3, seed=777))]) == {"p3"}
    assert index.write([write("p3", 1, newer, rows(3, seed=777)), first("late", rows(1, seed=778))]) == set()
    assert index.write([write("late", 1, upserted("late", 2, after=upserted("late")), None)]) == set()
    engine.close()

    again = open_shop(storage=storage)
    assert again.describe(FINGERPRINT).storage == storage
    index = again.open(FINGERPRINT)
    stored = index.read(["p3", "late", "p5"], vectors=True)
    for name, written in {"p3": rows(3, seed=777), "late": rows(1, seed=778), "p5": rows(2, seed=5)}.items():
        kept = stored[name].vectors
        assert kept is not None
        assert np.linalg.norm(kept, axis=1) == pytest.approx(1.0, abs=1e-6)
        assert np.abs(kept - written).max() <= ROUNDING[storage]
    assert [hit.stored.id for hit in index.search(rows(3, seed=777)[2:], Filter(), limit=1)] == ["p3"]
    assert [hit.stored.id for hit in index.search(rows(1, seed=778), Filter(), limit=1)] == ["late"]


def test_a_collection_keeps_the_storage_that_it_was_created_with(
    open_shop: OpenShop, caplog: pytest.LogCaptureFixture
) -> None:
    engine = open_shop(storage="float16")
    filled(engine)
    engine.close()
    assert "index_storage_stays" not in caplog.text
    again = open_shop(storage="turboquant")
    again.create(FINGERPRINT, DIMENSION)
    assert len(again.open(FINGERPRINT).search(rows(1), Filter(), limit=5)) == 5
    assert "index_storage_stays" in caplog.text
    assert again.describe(FINGERPRINT).storage == "float16"
    again.create("other-1", DIMENSION)
    assert again.describe("other-1").storage == "turboquant"


@each_storage
def test_without_rescoring_scores_are_those_of_the_codes(folder: Path, storage: Storage) -> None:
    """Codes are made as one writes (turboquant), or by `encode` (int8), here from the first kB on."""
    create_shard(folder / "shard", DIMENSION, storage, codes_from_kb=1)
    schema = Schema("shop")
    for rescore in (False, True):
        store = EdgeStore(folder / "shard", DIMENSION, storage, rescore=rescore)
        store.ensure_indexes(schema)
        index = PointIndex(store, schema, FINGERPRINT)
        if not rescore:
            index.write([first(f"p{n}", rows(2, seed=n)) for n in range(PRODUCTS)])
        store.encode()
        assert not store.has_graph
        taken = index.strategy_of(Filter(), wanted=10)
        assert taken == (CODES if storage in CODED else EXACT)
        off = max(
            abs(hit.score - cosines(query)[hit.stored.id])
            for query in (rows(1, seed=20_000 + seed) for seed in range(10))
            for hit in index.search(query, Filter(), limit=10)
        )
        if storage in CODED and not rescore:
            assert 1e-3 < off < 0.1
        else:
            assert off <= ROUNDING[storage]
        exact = index.search(rows(1, seed=9), Filter(), limit=5, strategy=EXACT)
        assert [hit.score for hit in exact] == pytest.approx(
            sorted(cosines(rows(1, seed=9)).values(), reverse=True)[:5], abs=ROUNDING[storage]
        )
        index.close()


def test_codes_of_one_byte_are_made_when_a_collection_is_opened_and_not_when_it_is_looked_at(
    folder: Path,
) -> None:
    create_shard(folder / "shard", DIMENSION, "int8", codes_from_kb=1)
    shard = edge.EdgeShard.load(str(folder / "shard"))
    shard.close()
    store = EdgeStore(folder / "shard", DIMENSION, "int8")
    index = PointIndex(store, Schema("shop"), FINGERPRINT)
    index.write([first(f"p{n}", rows(2, seed=n)) for n in range(PRODUCTS)])
    assert _encoded(folder / "shard") == 0
    store.encode()
    assert _encoded(folder / "shard") == 1
    index.close()


def _encoded(shard: Path) -> int:
    """How many segments have codes."""
    return len(list(shard.glob("segments/*/vector_storage-image/quantized.data")))


def test_a_server_that_is_too_old_for_a_storage_is_refused(folder: Path, make_settings: MakeSettings) -> None:
    with qdrant_server(folder) as (port, state):
        state.version = "1.17.3"
        index = {"url": "http://127.0.0.1", "grpc_port": port, "storage": "turboquant"}
        engine = open_engine(make_settings(index=index))
        with pytest.raises(StartupError, match=r"LOOKALIKE_INDEX__STORAGE=turboquant needs 1\.18 or newer"):
            engine.create(FINGERPRINT, DIMENSION)
        assert not state.collections
        engine.close()


def test_a_server_is_told_the_storage_and_how_to_search_it(folder: Path, make_settings: MakeSettings) -> None:
    with qdrant_server(folder) as (port, state):
        for storage in STORAGES:
            index = {"url": "http://127.0.0.1", "grpc_port": port, "storage": storage}
            engine = open_engine(make_settings(catalog=f"of-{storage}", index=index))
            filled(engine).search(rows(1), Filter(), limit=3, strategy=CODES)
            created = state.collections[f"of-{storage}.{FINGERPRINT}"].creation
            (vectors,) = created.vectors_config.params_map.map.values()
            assert vectors.on_disk == (storage in CODED)
            params = state.requests[-1].query_points[0].params
            assert params.HasField("quantization") == (storage in CODED)
            assert params.quantization.rescore == (storage in CODED)
            assert params.quantization.oversampling == (2.0 if storage in CODED else 0)
            engine.close()


ENCODING = """
import sys
import subprocess
import sys
import time
from pathlib import Path
from recommender.index.embedded_points import EdgeStore

store = EdgeStore(Path(sys.argv[1]), 16, "int8")
print("opened", flush=True)
store.encode()
sys.stdin.read()
"""


@pytest.mark.parametrize("pause_s", [0.0, 0.02, 0.05])
def test_a_process_killed_while_it_makes_codes_loses_nothing(folder: Path, pause_s: float) -> None:
    shard, schema = folder / "shard", Schema("shop")
    create_shard(shard, DIMENSION, "int8", codes_from_kb=1)
    store = EdgeStore(shard, DIMENSION, "int8")
    store.ensure_indexes(schema)
    index = PointIndex(store, schema, FINGERPRINT)
    for start in range(0, 4000, 250):
        assert not index.write([first(f"p{n}", rows(2, seed=n)) for n in range(start, start + 250)])
    index.close()
    with subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", ENCODING, str(shard)], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    ) as encoding:
        assert encoding.stdout is not None
        assert encoding.stdout.readline() == b"opened\n"
        time.sleep(pause_s)
        encoding.kill()
    for _ in range(2):  # as it was left, and with its codes
        store = EdgeStore(shard, DIMENSION, "int8")
        index = PointIndex(store, schema, FINGERPRINT)
        assert index.count(Filter()) == 4000
        stored = index.read([f"p{n}" for n in range(0, 4000, 40)], vectors=True)
        for n in range(0, 4000, 40):
            kept = stored[f"p{n}"].vectors
            assert kept is not None
            assert np.abs(kept - rows(2, seed=n)).max() < 1e-6
        (best, *_) = index.search(rows(2, seed=3999)[1:], Filter(), limit=1)
        assert best.stored.id == "p3999"
        store.encode()
        index.close()
    assert _encoded(shard) >= 1
