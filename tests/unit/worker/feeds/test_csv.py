import codecs
import csv
import json
from pathlib import Path
from typing import Any

import pytest

from recommender.errors import FeedError
from worker.feeds import delimited, local

HEADER = "id,images,category,title"


def rows(*cells: str) -> str:
    return "\n".join([HEADER, *cells]) + "\n"


def test_quotes_line_breaks_and_blank_lines(folder: Path, read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(local, "CHUNK_BYTES", 3)
    text = rows('a,s3://b/a.jpg,c,"An ""ankle"",\r\nboot"', "", "b,s3://b/b.jpg|s3://b/c.jpg,c/d|e,Grün")
    (folder / "f.csv").write_text(text, newline="")
    first, second = read("f.csv")
    assert first.document["title"] == 'An "ankle",\r\nboot'
    assert second.document["images"] == ["s3://b/b.jpg", "s3://b/c.jpg"]
    assert (second.document["category"], second.document["title"]) == (["c/d", "e"], "Grün")
    assert [first.number, second.number] == [1, 2]
    assert json.loads(second.text)["images"] == "s3://b/b.jpg|s3://b/c.jpg"


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
@pytest.mark.parametrize(
    ("encoding", "mark"), [("utf-8", b""), ("utf-8", codecs.BOM_UTF8), ("utf-16-le", codecs.BOM_UTF16_LE)]
)
def test_what_is_between_cells_and_rows_is_found_out(
    folder: Path, read: Any, delimiter: str, end: str, encoding: str, mark: bytes
) -> None:
    lines = ['"id"', "images", "category", '"title, long; or not"'], ["a", "s3://b/a.jpg", "c", "Grün"]
    text = end.join(delimiter.join(cells) for cells in lines) + end
    (folder / "f.csv").write_bytes(mark + text.encode(encoding))
    (record,) = read("f.csv", columns={"title": "title, long; or not"})
    assert record.document["title"] == "Grün"


def test_what_is_between_cells_can_be_set(folder: Path, read: Any) -> None:
    (folder / "f.csv").write_text("id^images^category^a,b,c,d\na^s3://b/a.jpg^c^x\n")
    (record,) = read("f.csv", delimiter="^")
    assert record.id == "a"


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (b"b,s3://b/b.jpg,c", "it has 3 cells, and the first row names 4 columns"),
        (b"b,s3://b/b.jpg,c,t,more", "it has 5 cells"),
        (b'b,"s3://b/b.jpg"x,c,t', "not CSV"),
        (b"b,s3://b/b.jpg,c,Gr\xfcn", "not UTF-8"),
    ],
)
def test_a_bad_row_costs_only_itself(folder: Path, read: Any, bad: bytes, said: str) -> None:
    text = rows("a,s3://b/a.jpg,c,t").encode() + bad + b"\nc,s3://b/c.jpg,c,t\n"
    (folder / "f.csv").write_bytes(text)
    first, refused, last = read("f.csv")
    assert (first.id, last.id, last.number) == ("a", "c", 3)
    assert refused.document is None
    assert f"f.csv record 2: {said}" in str(refused.complaint(refused.error))
    assert isinstance(json.loads(refused.text), dict)
    assert refused.text.encode()


@pytest.mark.parametrize(
    ("end", "said"),
    [
        ("b,s3://b/b.j", "record 2: it breaks off"),
        ('b,s3://b/b.jpg,c,"Ankle\nboot\n', "unexpected end of data"),
        ('b,s3://b/b.jpg,c,"' + "x" * (csv.field_size_limit() + 1), "field larger than"),
    ],
)
def test_what_breaks_off_is_no_end(folder: Path, read: Any, end: str, said: str) -> None:
    (folder / "f.csv").write_text(rows("a,s3://b/a.jpg,c,t") + end)
    with pytest.raises(FeedError, match=said):
        read("f.csv")


def test_a_last_row_needs_no_line_break(folder: Path, read: Any) -> None:
    (folder / "f.csv").write_text(rows("a,s3://b/a.jpg,c,t") + "b,s3://b/b.jpg,c,")
    assert [record.id for record in read("f.csv")] == ["a", "b"]


def test_a_line_without_end_is_refused(folder: Path, read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(delimited, "MAX_LINE_BYTES", 100)
    monkeypatch.setattr(local, "CHUNK_BYTES", 64)
    (folder / "f.csv").write_bytes(rows().encode() + b"x" * 200)
    with pytest.raises(FeedError, match="longer than 100 bytes"):
        read("f.csv")


def test_utf_16_that_breaks_off(folder: Path, read: Any) -> None:
    (folder / "f.csv").write_bytes(rows("a,s3://b/a.jpg,c,t").encode("utf-16")[:-1])
    with pytest.raises(FeedError, match="utf-16"):
        read("f.csv")


def test_a_part_without_rows(folder: Path, read: Any) -> None:
    (folder / "f.csv").write_text(rows())
    assert read("f.csv") == []
    (folder / "f.csv").write_text('"id"x,images,category\n')
    with pytest.raises(FeedError, match="first row"):
        read("f.csv")
