import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from recommender.catalog import Filter
from recommender.errors import IndexInUse
from recommender.index.embedded import EmbeddedEngine
from recommender.index.embedded_points import EdgeStore
from recommender.index.products import PointIndex
from recommender.index.schema import Schema
from tests.integration.index.builders import DIMENSION, NO_ROWS, deleted, first, rows, upserted, write

SCHEMA = Schema("shop")

OWNER = """
import sys
from pathlib import Path
from recommender.index.embedded import EmbeddedEngine
from recommender.index.schema import Schema
from tests.integration.index.builders import first, patched, rows, upserted, write

engine = EmbeddedEngine(Path(sys.argv[1]), Schema("shop"))
engine.create("compact-1", 16)
engine.promote("compact-1")
index = engine.open("compact-1")
n = 0
while True:
    name = f"p{n}"
    assert not index.write([first(name, rows(2, seed=n))])
    assert not index.write([write(name, 1, patched(name, 2, after=upserted(name), price=float(n)), None)])
    print(n, flush=True)
    n += 1
"""


def start_owner(folder: Path) -> "subprocess.Popen[str]":
    return subprocess.Popen(  # noqa: S603
        [sys.executable, "-c", OWNER, str(folder)], stdout=subprocess.PIPE, text=True
    )


def test_a_process_killed_while_writing_loses_nothing_that_returned(folder: Path) -> None:
    with start_owner(folder) as owner:
        assert owner.stdout is not None
        written = [int(owner.stdout.readline()) for _ in range(40)]
        owner.send_signal(signal.SIGKILL)
        written += [int(line) for line in owner.stdout.read().splitlines()]
    engine = EmbeddedEngine(folder, SCHEMA)
    assert engine.serving() == "compact-1"
    index = engine.open("compact-1")
    stored = index.read([f"p{n}" for n in written], vectors=True)
    assert len(written) >= 40
    for n in written:
        product = stored[f"p{n}"]
        assert product.rev == 2
        assert product.state.product is not None
        assert product.state.product.price == n
        assert product.vectors is not None
        assert product.vectors == pytest.approx(rows(2, seed=n), abs=1e-6)
    assert index.count(Filter(price_min=0.0)) >= len(written)
    engine.close()


def test_a_flush_that_was_cut_short_loses_no_write(folder: Path) -> None:
    live, left = folder / "shop.compact-1" / "shard", folder / "left"
    EmbeddedEngine(folder, SCHEMA).create("compact-1", DIMENSION)
    store = EdgeStore(live, DIMENSION)
    index = PointIndex(store, SCHEMA, "compact-1")
    index.write([first(name, rows(1)) for name in ("whole", "payload", "gone")])
    store.flush()
    index.write([write("whole", 1, upserted("whole", 2), rows(2)), first("new", rows(3))])
    index.write([write("payload", 1, upserted("payload", 2), None)])
    index.write([write("gone", 1, deleted("gone", 2), NO_ROWS)])
    shutil.copytree(live, left)
    store.flush()
    # A kill within the flush may leave the payload indexes as they are now, and the rest as it was.
    for indexes in live.glob("segments/*/payload_index"):
        shutil.rmtree(left / indexes.relative_to(live))
        shutil.copytree(indexes, left / indexes.relative_to(live))
    index.close()
    reopened = PointIndex(EdgeStore(left, DIMENSION), SCHEMA, "compact-1")
    stored = reopened.read(["whole", "new", "payload", "gone"], vectors=True)
    reopened.close()
    found = {name: (product.rev, len(product.vectors)) for name, product in stored.items()}
    assert found == {"whole": (2, 2), "new": (1, 3), "payload": (2, 1), "gone": (2, 0)}


def test_a_second_process_is_told_that_the_index_is_in_use(folder: Path) -> None:
    with start_owner(folder) as owner:
        assert owner.stdout is not None
        owner.stdout.readline()
        second = EmbeddedEngine(folder, SCHEMA)
        with pytest.raises(IndexInUse, match="another process owns"):
            second.open("compact-1")
        owner.kill()
        owner.stdout.read()
    second.open("compact-1").ping()
    second.close()


def test_indexes_opened_twice_share_the_shard(folder: Path) -> None:
    engine = EmbeddedEngine(folder, SCHEMA)
    engine.create("compact-1", DIMENSION)
    engine.open("compact-1").write([first("a", rows(1))])
    assert engine.open("compact-1").count(Filter()) == 1
    engine.close()


def test_a_creation_that_was_cut_short_is_no_collection(folder: Path) -> None:
    engine = EmbeddedEngine(folder, SCHEMA)
    (folder / "shop.compact-1.partial" / "shard").mkdir(parents=True)
    (folder / "shop.compact-1.partial" / "shard" / "junk").touch()
    assert engine.fingerprints() == []
    engine.create("compact-1", DIMENSION)
    assert engine.fingerprints() == ["compact-1"]
    engine.open("compact-1").ping()
    engine.close()


def test_payload_indexes_are_there_before_the_first_point(folder: Path) -> None:
    engine = EmbeddedEngine(folder, Schema("shop", ("colour",)))
    engine.create("compact-1", DIMENSION)
    store = EdgeStore(folder / "shop.compact-1" / "shard", DIMENSION)
    info = store._shard.info()
    assert info.points_count == 0
    assert set(info.payload_schema) == set(Schema("shop", ("colour",)).payload_indexes)
    assert "attributes.colour" in info.payload_schema
    store.close()


def test_the_log_does_not_grow_for_ever(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    flushes = 0

    class CountingStore(EdgeStore):
        def flush(self) -> None:
            nonlocal flushes
            flushes += 1
            super().flush()

    monkeypatch.setattr("recommender.index.embedded_points._FLUSH_EVERY_POINTS", 10)
    engine = EmbeddedEngine(folder, SCHEMA)
    engine.create("compact-1", DIMENSION)
    store = CountingStore(folder / "shop.compact-1" / "shard", DIMENSION)
    index = PointIndex(store, SCHEMA, "compact-1")
    index.write([first(f"p{n}", rows(1)) for n in range(9)])
    assert flushes == 0
    index.write([write(f"p{n}", 1, upserted(f"p{n}", 2), None) for n in range(9)])
    assert flushes == 1
    index.close()
