"""One part of a feed, from bytes to records: packed how, and in which format."""

from collections.abc import Generator
from contextlib import closing

from config.feed import FeedSettings
from worker.feeds.columns import Columns
from worker.feeds.jsonl import read_jsonl
from worker.feeds.record import Place, Record
from worker.feeds.store import Part, Store

JSONL, CSV, PARQUET = "jsonl", "csv", "parquet"
_BY_ENDING = {
    "jsonl": JSONL,
    "ndjson": JSONL,
    "json": JSONL,
    "csv": CSV,
    "tsv": CSV,
    "parquet": PARQUET,
}
_PARQUET_MAGIC = b"PAR1"


def read_part(
    store: Store, part: Part, at: Place, columns: Columns, settings: FeedSettings
) -> Generator[Record, None, None]:
    """The records of a part from `at` on.

    Raises:
        FeedError: what it is can't be told, or it is malformed.
        TransientError: it could not be read to its end.
    """
    with closing(store.stream(part, at.offset)) as stored:
        if at.offset:
            yield from read_jsonl(stored, part, at, columns.of_json(), offsets=True)
            return
        yield from read_jsonl(stored, part, at, columns.of_json(), offsets=True)
