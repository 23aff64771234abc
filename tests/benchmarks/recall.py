"""`python -m tests.benchmarks.recall`: right under filters, every strategy beside ours.

On the embedded engine as it serves, on the same with a graph forced in this process, and on the server that
LOOKALIKE_TEST_QDRANT_URL names (LOOKALIKE_TEST_QDRANT_GRPC_PORT: its port). The truth is brute force in
numpy. Writes bench/queries/recall-ENGINE.json and docs/benchmarks-queries.md.
"""

import argparse
import os
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import replace
from pathlib import Path
from statistics import median
from typing import Any
from uuid import uuid4

import numpy as np
import qdrant_edge as edge
from qdrant_client import QdrantClient, models

from config.settings import Settings
from recommender.index.embedded_points import EdgeStore, create_shard
from recommender.index.open import open_engine
from recommender.index.products import PointIndex
from recommender.index.strategy import EXACT, Strategy
from tests.benchmarks import machine, queries_page
from tests.benchmarks.looks import ATTRIBUTES, SCHEMA, Looks, Shape
from tests.benchmarks.result import Result

SERVER = os.environ.get("LOOKALIKE_TEST_QDRANT_URL")
PORT = int(os.environ.get("LOOKALIKE_TEST_QDRANT_GRPC_PORT", "6334"))
TRIED = (
    Strategy("default"),
    Strategy("ef 256", ef=256),
    Strategy("ACORN", acorn=True),
    Strategy("ACORN, ef 256", acorn=True, ef=256),
    EXACT,
)
_FINGERPRINT = "looks"
_INDEXED_S = 1800


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.recall", description=__doc__)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--dimension", type=int, default=512)
    parser.add_argument("--seeds", type=int, default=40, help="products that are asked about")
    parser.add_argument("--without-graph", action="store_true", help="the engine as it serves, alone")
    parser.add_argument("--out", type=Path, default=queries_page.FOLDER, help="of the raw results")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    looks = Looks(asked.products, asked.dimension)
    with tempfile.TemporaryDirectory(dir="/dev/shm" if Path("/dev/shm").is_dir() else None) as name:  # noqa: S108
        folder = Path(name) / "shard"
        _fill(folder, looks)
        _measured("embedded", "embedded, as it serves", folder, looks, asked)
        if not asked.without_graph:
            seconds = _force_graph(folder)
            _measured("graph", f"embedded, a graph forced in {seconds:.0f} s", folder, looks, asked)
    if SERVER:
        with _server(looks) as index:
            _write(measure(index, looks, "server", "server", asked.seeds), asked.out)
    queries_page.write(asked.out)
    return 0


def measure(index: PointIndex, looks: Looks, row: str, engine: str, seeds: int) -> Result:
    """Recall and ms of every strategy, seed by seed, in an order that is drawn."""
    result = Result(f"recall-{row}", machine=machine.describe())
    result.facts |= {"engine": engine, "products": looks.size, "rows": len(looks.rows)}
    result.facts |= {"dimension": looks.dimension, "seeds": seeds, "shapes": []}
    drawn = [int(n) for n in np.random.default_rng(1).integers(0, looks.size, seeds)]
    scores = {seed: looks.scores(looks.rows_of(seed)) for seed in drawn}
    for shape in looks.shapes():
        measured = _shape(index, looks, shape, scores)
        result.facts["shapes"].append(measured)
        ours = measured["found"]["ours"]
        said = f"recall {np.mean(ours['recall']):.3f}, {median(ours['ms']):.1f} ms"
        print(f"{shape.name}, {shape.kind}: {measured['path']}, {said}", file=sys.stderr, flush=True)
    return result


def _shape(index: PointIndex, looks: Looks, shape: Shape, scores: dict[int, Any]) -> dict[str, Any]:
    strategies: dict[str, Strategy | None] = {each.name: each for each in TRIED} | {"ours": None}
    found: dict[str, dict[str, list[float]]] = {name: {"recall": [], "ms": []} for name in strategies}
    draw = np.random.default_rng(2)
    for seed, score in scores.items():
        where = replace(shape.where, exclude_ids=(str(seed),))
        passes = shape.passes.copy()
        passes[seed] = False
        asked = replace(shape, passes=passes)
        for name in draw.permutation(list(strategies)):  # an exact search leaves the next one no cache
            started = time.perf_counter()
            hits = index.search(looks.rows_of(seed), where, limit=10, strategy=strategies[name])
            found[name]["ms"].append((time.perf_counter() - started) * 1000)
            found[name]["recall"].append(asked.recall(score, [int(hit.stored.id) for hit in hits]))
    path = index.strategy_of(where, wanted=10)
    walk = path.name if path.ef is None else f"{path.name}, ef {path.ef}"
    return {"shape": shape.name, "kind": shape.kind, "share": shape.share, "path": walk, "found": found}


def _measured(row: str, engine: str, folder: Path, looks: Looks, asked: argparse.Namespace) -> None:
    with closing(PointIndex(EdgeStore(folder, looks.dimension), SCHEMA, _FINGERPRINT)) as index:
        _write(measure(index, looks, row, engine, asked.seeds), asked.out)


def _write(result: Result, folder: Path) -> None:
    result.write(folder)
    print(queries_page.recall(result))


def _fill(folder: Path, looks: Looks) -> None:
    create_shard(folder, looks.dimension)
    store = EdgeStore(folder, looks.dimension)
    store.ensure_indexes(SCHEMA)
    with closing(PointIndex(store, SCHEMA, _FINGERPRINT)) as index:
        _write_all(index, looks)


def _write_all(index: PointIndex, looks: Looks) -> None:
    for batch in looks.writes():
        lost = index.write(batch)
        assert not lost, lost


def _force_graph(folder: Path) -> float:
    """Build what no serving process builds; the seconds that it took."""
    started = time.monotonic()
    shard = edge.EdgeShard.load(str(folder))
    shard.optimize()
    shard.close()
    return time.monotonic() - started


@contextmanager
def _server(looks: Looks) -> Iterator[PointIndex]:
    """A collection of the benchmark's own, all of it in the graph; removed afterwards."""
    catalog = f"{SCHEMA.catalog}-{uuid4().hex[:12]}"
    index = {"url": SERVER, "grpc_port": PORT, "attributes": ATTRIBUTES}
    with closing(open_engine(Settings(_env_file=None, catalog=catalog, index=index))) as engine:
        engine.create(_FINGERPRINT, looks.dimension)
        try:
            opened = engine.open(_FINGERPRINT)
            assert isinstance(opened, PointIndex)
            _write_all(opened, looks)
            _until_indexed(f"{catalog}.{_FINGERPRINT}")
            yield opened
        finally:
            engine.drop(_FINGERPRINT)


def _until_indexed(collection: str) -> None:
    deadline = time.monotonic() + _INDEXED_S
    with closing(QdrantClient(url=SERVER, grpc_port=PORT, prefer_grpc=True)) as client:
        while client.get_collection(collection).status != models.CollectionStatus.GREEN:
            if time.monotonic() > deadline:
                raise RuntimeError(f"the server did not index {collection} in {_INDEXED_S} s")
            time.sleep(1)


if __name__ == "__main__":
    sys.exit(main())
