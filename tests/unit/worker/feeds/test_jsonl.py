import json
import os
from pathlib import Path
from typing import Any

import pytest

from recommender.errors import FeedChanged, FeedError
from tests.unit.worker.feeds.conftest import same
from worker.feeds import jsonl, local
from worker.feeds.open import open_feed
from worker.feeds.record import Place

DOCUMENT = {"id": "a", "version": 1, "images": ["s3://b/a.jpg"], "category": "c", "unknown": None}


def test_a_document_is_taken_as_it_is(folder: Path, read: Any) -> None:
    (folder / "f.jsonl").write_text(json.dumps(DOCUMENT))
    (record,) = read("f.jsonl")
    assert (record.document, record.error, record.id, record.number) == (DOCUMENT, None, "a", 1)
    assert json.loads(record.text) == DOCUMENT
    assert record.size_bytes == len(record.text)


def test_lines_are_joined_across_chunks(folder: Path, read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "CHUNK_BYTES", 3)
    (folder / "a b.jsonl").write_bytes(b'\xef\xbb\xbf{"id": "1"}\r\n\n  \n{"id": "2"}\n{"id": "3"}')
    records = read("a b.jsonl")
    assert [(record.number, record.id) for record in records] == [(1, "1"), (4, "2"), (5, "3")]
    assert [record.id for record in read("a%20b.jsonl")] == ["1", "2", "3"]


@pytest.mark.parametrize(
    ("line", "said"),
    [
        (b"no json", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b'"\xff"', "not JSON"),
        (b"7", "must be an object, not int"),
        (b"[{}]", "must be an object, not list"),
    ],
)
def test_a_bad_line_costs_only_itself(folder: Path, read: Any, line: bytes, said: str) -> None:
    (folder / "f.jsonl").write_bytes(b'{"id": "1"}\n' + line + b'\n{"id": "3"}\n')
    good, bad, last = read("f.jsonl")
    assert (good.id, last.id) == ("1", "3")
    assert bad.document is None
    complaint = str(bad.complaint(bad.error))
    assert complaint.startswith(f"file://{folder}/f.jsonl line 2: ")
    assert said in complaint
    assert bad.text == line.decode(errors="replace")


@pytest.mark.parametrize("end", [b'{"id": "2", "title": "Ank', b"nul", b"12"])
def test_a_last_line_that_breaks_off_is_no_end(folder: Path, settings_of: Any, end: bytes) -> None:
    (folder / "f.jsonl").write_bytes(b'{"id": "1"}\n' + end)
    with open_feed(f"file://{folder}/f.jsonl", settings_of(), None) as feed:  # type: ignore[arg-type]
        records = iter(feed)
        assert next(records).id == "1"
        with pytest.raises(FeedError, match="line 2: it breaks off"):
            next(records)


def test_a_line_without_end_is_refused(folder: Path, read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(jsonl, "MAX_LINE_BYTES", 10)
    monkeypatch.setattr(local, "CHUNK_BYTES", 4)
    (folder / "f.jsonl").write_bytes(b"{}\n" + b"x" * 20)
    with pytest.raises(FeedError, match="longer than 10 bytes"):
        read("f.jsonl")


def test_it_goes_on_after_any_line(
    folder: Path, read: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(local, "CHUNK_BYTES", 5)
    (folder / "f.jsonl").write_bytes(b'{"id": "1"}\n\nthird\n{"id": "4"}')
    whole = read("f.jsonl")
    assert [record.number for record in whole] == [1, 3, 4]
    for done, record in enumerate(whole, start=1):
        assert record.after.offset > 0
        assert same(read("f.jsonl", record.after), whole[done:])
    assert not caplog.records


def test_a_feed_that_has_changed_is_read_from_its_start(
    folder: Path, settings_of: Any, read: Any, caplog: pytest.LogCaptureFixture
) -> None:
    path = folder / "f.jsonl"
    path.write_bytes(b"{}\n{}\n")
    place = read("f.jsonl")[0].after
    with path.open("ab") as file:
        file.write(b"{}\n")
    with open_feed(path.as_uri(), settings_of(), None, place) as feed:  # type: ignore[arg-type]
        assert feed.start not in (place, Place())
        assert feed.start == Place(feed.start.etag)
        assert [record.number for record in feed] == [1, 2, 3]
    (record,) = caplog.records
    assert record.message == "feed_changed"


def test_a_file_that_is_written_to_while_it_is_read(
    folder: Path, settings_of: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(local, "CHUNK_BYTES", 3)
    path = folder / "f.jsonl"
    path.write_bytes(b"{}\n" * 9_000)
    with open_feed(path.as_uri(), settings_of(), None) as feed:  # type: ignore[arg-type]
        records = iter(feed)
        next(records)
        os.truncate(path, 3)
        with pytest.raises(FeedChanged, match="written to"):
            list(records)


def test_a_version_that_is_missing_is_the_time_of_the_feed(folder: Path, read: Any) -> None:
    (folder / "f.jsonl").write_text('{"id": "1"}\n{"id": "2", "version": 3}\n')
    os.utime(folder / "f.jsonl", ns=(0, 1_732_350_000_123 * 10**6))
    assert [record.document["version"] for record in read("f.jsonl")] == [1_732_350_000_123, 3]
