"""Parquet: row group by row group, a few MiB of each column at a time, however large a row group is."""

from collections.abc import Iterator
from contextlib import contextmanager
from io import SEEK_CUR, SEEK_END, SEEK_SET
from typing import Any

import pyarrow as pa
from pyarrow import parquet as pq

from recommender.errors import FeedError
from worker.feeds.columns import Columns
from worker.feeds.record import Place, Record
from worker.feeds.store import Part, Store

MAGIC = b"PAR1"
BATCH_ROWS = 512
BUFFER_BYTES = 4 * 2**20


def read_parquet(store: Store, part: Part, at: Place, columns: Columns) -> Iterator[Record]:
    """The records of a part after the first `at.record` of them; row groups before that are not read.

    Raises:
        FeedError: it is no whole Parquet file, its store can't read from the middle, or columns are missing.
    """
    with _translated(part.uri):
        opened = pa.PythonFile(_Ranges(store, part), "r")
        file = pq.ParquetFile(opened, buffer_size=BUFFER_BYTES, pre_buffer=False)
        names = file.schema_arrow.names
    make = columns.of_table(names, part.uri)
    number = 0
    for group in range(file.num_row_groups):
        end = number + file.metadata.row_group(group).num_rows
        if end > at.record:
            skip = max(at.record - number, 0)
            number += skip
            batches = file.iter_batches(BATCH_ROWS, row_groups=[group], columns=make.names, use_threads=False)
            for row in _rows(batches, skip, part.uri):
                number += 1
                yield make(row, number, Place(at.etag, part.name, number), part.uri)
            if number != end:
                raise FeedError(f"{part.uri}: row group {group} ends at record {number}, not at {end}")
        number = end


def _rows(batches: Iterator[pa.RecordBatch], skip: int, uri: str) -> Iterator[dict[str, Any]]:
    """The rows after the first `skip`."""
    while True:
        with _translated(uri):
            batch = next(batches, None)
            if batch is None:
                return
            kept = batch.slice(min(skip, batch.num_rows))
            skip -= batch.num_rows - kept.num_rows
            cells = [_in_python(column) for column in kept.columns]
        for row in zip(*cells, strict=True):
            yield dict(zip(kept.schema.names, row, strict=True))


def _in_python(column: pa.Array) -> list[Any]:
    if pa.types.is_timestamp(column.type):  # in UTC without its zone; Python has no nanoseconds
        column = column.cast(pa.timestamp("us"), safe=False)
    found: list[Any] = column.to_pylist()
    return found


class _Ranges:
    """A part as the file that Arrow reads from: every read asks its store."""

    closed = False

    def __init__(self, store: Store, part: Part) -> None:
        if part.size_bytes is None:
            raise FeedError(f"{part.uri}: its store doesn't say how long it is, which Parquet must know")
        self._store = store
        self._part = part
        self._size = part.size_bytes
        self._at = 0

    def read(self, at_most: int | None = None) -> bytes:
        left = self._size - self._at
        length = left if at_most is None or at_most < 0 else min(at_most, left)
        if length <= 0:
            return b""
        data = self._store.read_at(self._part, self._at, length)
        self._at += length
        return data

    def seek(self, offset: int, whence: int = SEEK_SET) -> int:
        self._at = offset + {SEEK_SET: 0, SEEK_CUR: self._at, SEEK_END: self._size}[whence]
        return self._at

    def tell(self) -> int:
        return self._at

    def size(self) -> int:
        return self._size

    def close(self) -> None:
        """Nothing is held open."""


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    """Turn what Arrow raises into an error of ours; those of the store pass through Arrow as they are."""
    try:
        yield
    except (pa.ArrowException, OSError, ValueError) as error:
        raise FeedError(
            f"{uri}: it breaks off, is damaged or is no Parquet ({error}); write the whole feed again"
        ) from error
