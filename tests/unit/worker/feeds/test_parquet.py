import tracemalloc
from datetime import UTC, date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from pyarrow import parquet as pq

from recommender.errors import FeedError
from worker.feeds import parquet
from worker.feeds.local import LocalFeed
from worker.feeds.open import open_feed

SHOP = {"id": "sku", "version": "updated", "images": "photos", "category": "paths"}


def table(rows: int = 3, **more: Any) -> pa.Table:
    return pa.table(
        {
            "sku": pa.array(range(rows), pa.int64()),
            "updated": pa.array(
                [datetime(2024, 1, 1, tzinfo=UTC)] * rows, pa.timestamp("ns", "Europe/Berlin")
            ),
            "photos": [[{"uri": f"s3://b/{n}.jpg", "role": None}] for n in range(rows)],
            "paths": [["women/shoes", "sale"]] * rows,
            **more,
        }
    )


def test_typed_columns(folder: Path, read: Any) -> None:
    typed = {
        "price": pa.array([Decimal("89.90"), None, Decimal(5)], pa.decimal128(10, 2)),
        "in_stock": [True, False, None],
        "attributes": pa.array([[("colour", "black")]] * 3, pa.map_(pa.string(), pa.string())),
        "attributes.since": [date(2024, 1, 1)] * 3,
        "attributes.seen": pa.array([1] * 3, pa.timestamp("ns")),
        "brand": pa.array(["Acme", "Acme", None]).dictionary_encode(),
        "warehouse": [1] * 3,
    }
    pq.write_table(table(**typed), folder / "f.parquet")
    first, second, third = read("f.parquet", columns=SHOP)
    assert first.document == {
        "id": "0",
        "version": 1_704_067_200_000,
        "images": [{"uri": "s3://b/0.jpg"}],
        "category": ["women/shoes", "sale"],
        "price": 89.9,
        "in_stock": True,
        "brand": "Acme",
        "attributes": {"colour": "black", "since": "2024-01-01", "seen": "1970-01-01T00:00:00"},
    }
    assert "price" not in second.document
    assert second.document["in_stock"] is False
    assert third.document.keys().isdisjoint({"in_stock", "brand"})
    assert "warehouse" not in first.text


def test_a_value_that_is_refused(folder: Path, read: Any) -> None:
    pq.write_table(table(price=["89.90", "much", "1"]), folder / "f.parquet")
    good, bad, _ = read("f.parquet", columns=SHOP)
    assert good.document["price"] == 89.9
    assert (bad.document, bad.id) == (None, "1")
    assert "record 2: price: column 'price': 'much' is no number" in str(bad.complaint(bad.error))


def test_row_groups_before_the_place_are_not_read(
    folder: Path, read: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "BUFFER_BYTES", 1024)
    pq.write_table(table(10_000), folder / "f.parquet", row_group_size=1000, compression="none")
    whole = read("f.parquet", columns=SHOP)
    assert [record.number for record in whole] == list(range(1, 10_001))
    sizes: list[int] = []
    read_at = LocalFeed.read_at
    monkeypatch.setattr(LocalFeed, "read_at", lambda *of: sizes.append(of[-1]) or read_at(*of))
    rest = read("f.parquet", whole[8_499].after, columns=SHOP)
    assert [record.number for record in rest] == list(range(8_501, 10_001))
    assert sum(sizes) < (folder / "f.parquet").stat().st_size / 2


@pytest.mark.parametrize("kept", [0.1, 0.5, 0.99])
def test_a_file_that_breaks_off(folder: Path, read: Any, kept: float) -> None:
    pq.write_table(table(), folder / "f.parquet")
    data = (folder / "f.parquet").read_bytes()
    (folder / "f.parquet").write_bytes(data[: int(len(data) * kept)])
    with pytest.raises(FeedError, match="breaks off, is damaged or is no Parquet"):
        read("f.parquet", columns=SHOP)


def test_a_damaged_page(folder: Path, read: Any) -> None:
    pq.write_table(table(1000), folder / "f.parquet")
    data = bytearray((folder / "f.parquet").read_bytes())
    data[10:200] = b"\xff" * 190
    (folder / "f.parquet").write_bytes(data)
    with pytest.raises(FeedError, match="damaged"):
        read("f.parquet", columns=SHOP)


def test_a_large_row_group_is_not_held_in_memory(
    folder: Path, settings_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(parquet, "BUFFER_BYTES", 2**16)
    texts = [f"{n:08}" * 100 for n in range(60_000)]  # 48 MB of one column in one row group
    columns = {"sku": texts, "updated": [1] * 60_000, "photos": texts, "paths": texts}
    pq.write_table(
        pa.table(columns),
        folder / "f.parquet",
        compression="none",
        use_dictionary=False,
        data_page_size=2**16,
    )
    del columns, texts
    pool, before = pa.default_memory_pool(), pa.total_allocated_bytes()
    most = 0
    tracemalloc.start()
    with open_feed(f"file://{folder}/f.parquet", settings_of(columns=SHOP), None) as feed:  # type: ignore[arg-type]
        for count, _ in enumerate(feed, start=1):
            if count % 1000 == 0:
                most = max(most, pool.bytes_allocated() - before)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count == 60_000
    assert most < 20 * 2**20
    assert peak < 20 * 2**20
