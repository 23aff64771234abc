"""Strategies over a real graph. The embedded engine builds none while it serves, so that it is forced here;
it answers as a server does, which runs the same engine."""

import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest
import qdrant_edge as edge

from recommender.catalog import Filter
from recommender.index.embedded_points import EdgeStore, create_shard
from recommender.index.products import PointIndex
from recommender.index.strategy import EXACT, Strategy
from tests.benchmarks.looks import SCHEMA, Looks, Shape

# Fewer would be compared one by one, whatever is asked: what passes must have more than 10,000 kB of rows.
PRODUCTS, DIMENSION, SEEDS = 12_000, 512, 40
DEFAULT = Strategy("default")


@pytest.fixture(scope="module")
def looks() -> Looks:
    return Looks(PRODUCTS, DIMENSION)


@pytest.fixture(scope="module")
def shard(looks: Looks) -> Iterator[Path]:
    """A shard whose every vector is in the graph."""
    memory = Path("/dev/shm")  # noqa: S108  # a folder of random name below it
    room = memory.is_dir() and shutil.disk_usage(memory).free > 2**30
    with tempfile.TemporaryDirectory(dir=memory if room else None) as name:
        folder = Path(name) / "shard"
        create_shard(folder, DIMENSION)
        store = EdgeStore(folder, DIMENSION)
        store.ensure_indexes(SCHEMA)
        index = PointIndex(store, SCHEMA, "looks")
        assert not store.has_graph
        for batch in looks.writes():
            assert not index.write(batch)
        index.close()
        built = edge.EdgeShard.load(str(folder))
        assert built.optimize()
        assert built.info().indexed_vectors_count == PRODUCTS
        built.close()
        yield folder


@pytest.fixture
def index(shard: Path) -> Iterator[PointIndex]:
    store = EdgeStore(shard, DIMENSION)
    assert store.has_graph
    index = PointIndex(store, SCHEMA, "looks")
    yield index
    index.close()


def recall(index: PointIndex, looks: Looks, shape: Shape, strategy: Strategy | None = None) -> float:
    """The mean recall@10 over seeds drawn from the catalog."""
    seeds = np.random.default_rng(1).integers(0, PRODUCTS, SEEDS)
    found = [index.search(looks.rows_of(n), shape.where, limit=10, strategy=strategy) for n in seeds]
    scores = [looks.scores(looks.rows_of(n)) for n in seeds]
    ids = [[int(hit.stored.id) for hit in hits] for hits in found]
    return sum(map(shape.recall, scores, ids)) / SEEDS


@pytest.fixture
def narrow(looks: Looks) -> Shape:
    """An AND that 24% pass, by their looks: just enough for the engine to walk its graph."""
    where = Filter(category=("looks/1", "looks/2"), attributes={"season": ("s1", "s2", "s3")})
    passes = np.array(
        [
            document["category"][1] in where.category
            and document["attributes"]["season"] in {"s1", "s2", "s3"}
            for document in map(looks.document, range(PRODUCTS))
        ]
    )
    return Shape("AND", "tied", where, passes)


def test_ours_is_right_where_the_engines_default_is_not(
    index: PointIndex, looks: Looks, narrow: Shape
) -> None:
    assert recall(index, looks, narrow, DEFAULT) < 0.9  # so the graph is walked
    assert recall(index, looks, narrow) >= 0.99
    assert recall(index, looks, narrow, EXACT) >= 0.999
    acorn = Strategy("acorn", acorn=True, ef=1024)
    wide = Strategy("wide", ef=1024)
    assert min(recall(index, looks, narrow, each) for each in (acorn, wide)) > recall(
        index, looks, narrow, DEFAULT
    )


def test_every_shape_of_filter_is_answered_right(index: PointIndex, looks: Looks) -> None:
    shapes = looks.shapes()
    recalls = {(shape.name, shape.kind): recall(index, looks, shape) for shape in shapes}
    assert min(recalls.values()) >= 0.99, recalls
    taken = {shape.name: index.strategy_of(shape.where, wanted=10).name for shape in shapes}
    assert taken["none"] == "graph"
    assert taken["AND at 4%"] == "exact"


def test_a_page_over_the_graph_is_the_same_each_time(index: PointIndex, looks: Looks) -> None:
    pages = [[hit.stored.id for hit in index.search(looks.rows_of(7), Filter(), limit=20)] for _ in range(3)]
    assert pages[0] == pages[1] == pages[2]
    assert len(set(pages[0])) == 20
