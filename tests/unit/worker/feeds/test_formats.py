"""What holds of every format: the same documents, a place after each record, no end but the end."""

import gzip
import tracemalloc
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pydantic import TypeAdapter

from recommender.errors import FeedError
from tests.unit.worker.feeds.conftest import same
from tests.unit.worker.feeds.samples import FORMATS, comma_separated, jsonl, parquet, products, zstd
from worker.feeds import packing
from worker.feeds.open import open_feed
from worker.feeds.record import Place

ENDINGS = pytest.mark.parametrize("ending", list(FORMATS))
DOCUMENTS = products([f"p{n}" for n in range(11)])


def as_json(place: Place) -> Place:
    """There and back, as a job keeps it."""
    adapter = TypeAdapter(Place)
    return adapter.validate_json(adapter.dump_json(place))


@ENDINGS
def test_all_formats_say_the_same(folder: Path, read: Any, ending: str) -> None:
    (folder / f"feed.{ending}").write_bytes(FORMATS[ending](DOCUMENTS))
    assert [record.document for record in read(f"feed.{ending}")] == DOCUMENTS


@pytest.mark.parametrize("ending", [ending for ending in FORMATS if "csv" not in ending])
def test_a_name_without_an_ending_is_told_by_its_bytes(folder: Path, read: Any, ending: str) -> None:
    (folder / "feed").write_bytes(FORMATS[ending](DOCUMENTS))
    assert [record.document for record in read("feed")] == DOCUMENTS


@ENDINGS
def test_reading_on_from_any_record_gives_the_rest(folder: Path, read: Any, ending: str) -> None:
    name = f"feed.{ending}"
    (folder / name).write_bytes(FORMATS[ending](DOCUMENTS))
    whole = read(name)
    for done, record in enumerate(whole, start=1):
        assert Place(**asdict(record.after)) == record.after
        assert same(read(name, as_json(record.after)), whole[done:])
        assert (record.after.offset > 0) == (ending == "jsonl")


@given(
    parts=st.lists(st.tuples(st.sampled_from(list(FORMATS)), st.integers(0, 7)), min_size=1, max_size=4),
    at=st.integers(0, 30),
)
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_reading_on_in_a_folder_of_parts(
    folder: Path, read: Any, parts: list[tuple[str, int]], at: int
) -> None:
    for old in folder.iterdir():
        old.unlink()
    wanted: list[str] = []
    for number, (ending, count) in enumerate(parts):
        ids = [f"{number}-{n}" for n in range(count)]
        (folder / f"part-{number}.{ending}").write_bytes(FORMATS[ending](products(ids)))
        wanted += ids
    if not any((folder / name.name).stat().st_size for name in folder.iterdir()):
        return
    whole = read("")
    assert [record.id for record in whole] == wanted
    for done, record in list(enumerate(whole, start=1))[at : at + 1]:
        assert same(read("", as_json(record.after)), whole[done:])


@pytest.mark.parametrize("ending", ["jsonl.gz", "jsonl.zst", "csv.gz", "csv.zst", "parquet"])
@pytest.mark.parametrize("of_100", [0, 1, 10, 50, 90, 99])
def test_what_is_packed_and_breaks_off_is_no_end(folder: Path, read: Any, ending: str, of_100: int) -> None:
    data = FORMATS[ending](products([f"p{n}" for n in range(300)]))
    (folder / "a.jsonl").write_bytes(jsonl(DOCUMENTS))
    (folder / f"feed.{ending}").write_bytes(data[: min(len(data) * of_100 // 100, len(data) - 1)])
    with pytest.raises(FeedError, match=rf"feed\.{ending}: .*(breaks off|isn't)"):
        read("")


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_several_members_are_one_feed(folder: Path, read: Any, pack: Any) -> None:
    halves = jsonl(DOCUMENTS[:5]), jsonl(DOCUMENTS[5:])
    (folder / "feed").write_bytes(b"".join(map(pack, halves)))
    assert [record.document for record in read("feed")] == DOCUMENTS


@pytest.mark.parametrize("pack", [gzip.compress, zstd])
def test_what_follows_a_member_must_be_one(folder: Path, read: Any, pack: Any) -> None:
    (folder / "feed").write_bytes(pack(jsonl(DOCUMENTS)) + b"more")
    with pytest.raises(FeedError, match="breaks off or is damaged"):
        read("feed")


@pytest.mark.parametrize(
    ("name", "data", "said"),
    [
        ("feed", b"\n [{}]", "a JSON array; write one object a line"),
        ("feed.json", b"[\n{},\n{}\n]", "a JSON array; write one object a line"),
        ("feed", comma_separated(DOCUMENTS), "can't tell its format; let its name end in"),
        ("feed.jsonl.gz", jsonl(DOCUMENTS), "named as gzip, but isn't"),
        ("feed.csv.zst", gzip.compress(b"id"), "named as zstd, but isn't"),
        ("feed.parquet.gz", gzip.compress(parquet(DOCUMENTS)), "Parquet within gzip"),
        ("feed", gzip.compress(parquet(DOCUMENTS)), "Parquet within gzip"),
        ("feed.parquet", jsonl(DOCUMENTS), "is no Parquet"),
        ("feed.jsonl", b"", "it is empty"),
        ("feed.csv", b"", "it is empty"),
        ("feed.parquet", b"", "it is empty"),
    ],
)
def test_what_it_is_not_is_said(folder: Path, read: Any, name: str, data: bytes, said: str) -> None:
    (folder / name).write_bytes(data)
    with pytest.raises(FeedError, match=said):
        read(name)


def test_the_format_can_be_set(folder: Path, read: Any) -> None:
    (folder / "feed.txt").write_bytes(comma_separated(DOCUMENTS))
    assert [record.document for record in read("feed.txt", format="csv")] == DOCUMENTS


def test_a_place_that_is_none_of_the_feed_is_refused(folder: Path, read: Any) -> None:
    (folder / "feed.jsonl").write_bytes(jsonl(DOCUMENTS))
    after = read("feed.jsonl")[-1].after
    with pytest.raises(FeedError, match="ends before byte"):
        read("feed.jsonl", Place(after.etag, "", 12, after.offset + 1))
    with pytest.raises(FeedError, match="no part 'other'"):
        read("feed.jsonl", Place(after.etag, "other", 1, 1))


def test_what_unpacks_to_much_is_never_held(folder: Path, read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(packing, "CHUNK_BYTES", 2**16)
    (folder / "feed.jsonl.zst").write_bytes(zstd(b" " * 2**27))  # 4 kB
    with pytest.raises(FeedError, match="a line is longer than"):
        read("feed.jsonl.zst")


@pytest.mark.parametrize("ending", ["jsonl", "jsonl.gz", "csv.zst"])
def test_memory_does_not_grow_with_the_feed(folder: Path, settings_of: Any, ending: str) -> None:
    packing_named = {"gz": "gzip", "zst": "zstd"}.get(ending.rpartition(".")[2])
    header, *row = FORMATS[ending.partition(".")[0]]([{**DOCUMENTS[0], "title": "x" * 2000}]).splitlines(True)
    path = folder / f"feed.{ending}"
    with pa.output_stream(path, compression=packing_named) as file:
        file.write(header)
        for _ in range(20_000):  # 40 MB
            file.write(b"".join(row) or header)
    tracemalloc.start()
    with open_feed(path.as_uri(), settings_of(), None) as feed:  # type: ignore[arg-type]  # for s3://
        count = sum(1 for _ in feed)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert count >= 20_000
    assert peak < 8 * 2**20
