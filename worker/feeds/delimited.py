"""CSV: cells between commas, semicolons, tabs or bars, the columns' names in the first row of every part.

Cells may be quoted, and quoted cells may hold line breaks (RFC 4180). The text is UTF-8, with or without a
byte order mark, or UTF-16 with one.
"""

import csv
import io
import re
from codecs import BOM_UTF16_BE, BOM_UTF16_LE
from collections.abc import Iterator, Sequence
from itertools import chain
from typing import TYPE_CHECKING

from recommender.errors import FeedError, InvalidEvent
from worker.feeds.columns import Columns
from worker.feeds.record import Place, Record
from worker.feeds.store import Part

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer

MAX_LINE_BYTES = 4 * 2**20
_DELIMITERS = ",;\t|"
_QUOTED = re.compile(r'"(?:[^"]|"")*"')
_FATAL = ("unexpected end of data", "field larger than field limit")
_NOT_DECODED = re.compile(r"[\udc80-\udcff]")


def read_csv(
    chunks: Iterator[bytes], part: Part, at: Place, columns: Columns, delimiter: str | None
) -> Iterator[Record]:
    """The records of a part after the first `at.record` of them.

    Args:
        chunks: the part's bytes from its start on.
        part: whose they are.
        at: where to begin.
        columns: what makes documents of rows.
        delimiter: what is between cells; found out from the first row if None.

    Raises:
        FeedError: it breaks off, columns are missing, or a line or a quoted cell doesn't end.
    """
    raw = _Raw(chunks, part.uri)
    rows = _rows(raw, delimiter, part.uri)
    header = next(rows, None)
    if header is None:
        return
    if isinstance(header, csv.Error):
        raise FeedError(f"{part.uri}: its first row, which names the columns, can't be read: {header}")
    names = [name.strip() for name in header]
    make = columns.of_table(names, part.uri)
    for number, row in enumerate(rows, start=1):
        if number <= at.record:
            continue
        after = Place(at.etag, part.name, number)
        cells, fault = ({}, f"not CSV: {row}") if isinstance(row, csv.Error) else _cells(row, names)
        if fault is None:
            yield make(cells, number, after, part.uri)
        elif raw.breaks_off:
            raise FeedError(f"{part.uri} record {number}: it breaks off here; write the whole feed again")
        else:
            yield Record(number, after, part.uri, None, None, InvalidEvent("", fault), cells)


def _cells(row: list[str], names: Sequence[str]) -> tuple[dict[str, str], str | None]:
    return dict(zip(names, row, strict=False)), _fault(row, names)


def _fault(row: list[str], names: Sequence[str]) -> str | None:
    if len(row) != len(names):
        return f"it has {len(row)} cells, and the first row names {len(names)} columns"
    if not (text := "".join(row)).isascii() and _NOT_DECODED.search(text):
        return "not UTF-8"
    return None


def _rows(raw: "_Raw", delimiter: str | None, uri: str) -> "Iterator[list[str] | csv.Error]":
    """The rows that are not blank, and in the place of each that can't be read what is wrong with it."""
    text = io.TextIOWrapper(io.BufferedReader(raw), raw.encoding, "surrogateescape", newline="")
    try:
        first = text.readline()
        reader = csv.reader(chain([first], text), delimiter=delimiter or _delimiter(first), strict=True)
        while True:
            try:
                row = next(reader, None)
            except csv.Error as error:
                if str(error).startswith(_FATAL):
                    at = f"{uri} line {reader.line_num}"
                    raise FeedError(f"{at}: {error}; is a quote open since an earlier line?") from error
                yield error
                continue
            if row is None:
                return
            if row:
                yield row
    except UnicodeError as error:
        raise FeedError(f"{uri}: it is not {raw.encoding}, as it begins: {error}") from error


def _delimiter(first: str) -> str:
    """What the first row has most of, outside quotes."""
    bare = _QUOTED.sub("", first)
    return max(_DELIMITERS, key=bare.count)


class _Raw(io.RawIOBase):
    """The chunks as a file of bytes whose lines are bounded."""

    def __init__(self, chunks: Iterator[bytes], uri: str) -> None:
        self._chunks = chunks
        self._uri = uri
        self._left = next(chunks, b"")
        self._line_bytes = 0
        self._is_at_end = False
        self.encoding = "utf-16" if self._left.startswith((BOM_UTF16_BE, BOM_UTF16_LE)) else "utf-8-sig"

    @property
    def breaks_off(self) -> bool:
        """Whether its end was read, and no line ends there."""
        return self._is_at_end and self._line_bytes > 0

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int:
        into = memoryview(buffer)
        given = self._left[: len(into)]
        into[: len(given)] = given
        self._left = self._left[len(given) :] or next(self._chunks, b"")
        self._is_at_end = not given
        self._count(given)
        return len(given)

    def _count(self, data: bytes) -> None:
        end = max(data.rfind(b"\n"), data.rfind(b"\r"))
        after = len(data[end + 1 :].strip(b"\0"))  # the other half of an end in UTF-16
        self._line_bytes = after if end >= 0 else self._line_bytes + after
        if self._line_bytes > MAX_LINE_BYTES:
            raise FeedError(f"{self._uri}: a line is longer than {MAX_LINE_BYTES} bytes; is it a CSV?")
