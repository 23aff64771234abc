"""One part of a feed, from bytes to records: how it is packed, and in which format it is."""

from codecs import BOM_UTF8
from collections.abc import Generator, Iterator
from contextlib import closing
from itertools import chain

from config.feed import FeedSettings
from recommender.errors import FeedError
from worker.feeds.columns import Columns
from worker.feeds.delimited import read_csv
from worker.feeds.jsonl import read_jsonl
from worker.feeds.packing import BY_ENDING, packing_of, unpacked
from worker.feeds.parquet import MAGIC, read_parquet
from worker.feeds.record import Place, Record
from worker.feeds.store import Part, Store

JSONL, CSV, PARQUET = "jsonl", "csv", "parquet"
_FORMATS = {"jsonl": JSONL, "ndjson": JSONL, "json": JSONL, "csv": CSV, "tsv": CSV, "parquet": PARQUET}
"""By the ending of a name, without that of the packing."""
_BEGINNING_BYTES = 16


def read_part(
    store: Store, part: Part, at: Place, columns: Columns, settings: FeedSettings
) -> Generator[Record, None, None]:
    """The records of a part from `at` on.

    Raises:
        FeedError: what it is can't be told, it is malformed, or `at` is no place of it.
        TransientError: it could not be read to its end.
    """
    if part.size_bytes is not None and at.offset > part.size_bytes:
        raise FeedError(f"{part.uri}: it ends before byte {at.offset}, where reading was to go on")
    named, packing_named = _endings(part)
    format_ = named if settings.format == "auto" else settings.format
    if format_ == PARQUET and packing_named is None:
        yield from read_parquet(store, part, at, columns)
        return
    with closing(store.stream(part, at.offset)) as stored:
        beginning, chunks = _peeked(stored)
        packing = packing_of(beginning) if at.offset == 0 else None
        if packing_named not in {None, packing}:
            raise FeedError(f"{part.uri}: it is named as {packing_named}, but isn't")
        if packing is not None:
            beginning, chunks = _peeked(unpacked(chunks, packing, part.uri))
        format_ = format_ or _format_of(beginning, part)
        if format_ == JSONL:
            if not at.offset and _said(beginning).startswith(b"["):
                raise FeedError(f"{part.uri}: it is a JSON array; write one object a line, without brackets")
            yield from read_jsonl(chunks, part, at, columns.of_json(), offsets=packing is None)
        elif format_ == CSV:
            yield from read_csv(chunks, part, at, columns, settings.delimiter)
        elif packing is not None:
            raise FeedError(
                f"{part.uri}: Parquet within {packing} can't be read; Parquet packs its columns itself"
            )
    if format_ == PARQUET:
        yield from read_parquet(store, part, at, columns)


def _endings(part: Part) -> tuple[str | None, str | None]:
    """The format and the packing that the part's name ends in."""
    *_, name = part.uri.partition("?")[0].rpartition("/")
    endings = name.lower().split(".")[1:]
    packing = BY_ENDING.get(endings.pop()) if endings and endings[-1] in BY_ENDING else None
    return _FORMATS.get(endings[-1]) if endings else None, packing


def _format_of(beginning: bytes, part: Part) -> str:
    """What these first bytes are of."""
    if beginning.startswith(MAGIC):
        return PARQUET
    if _said(beginning)[:1] in {b"", b"{", b"["}:
        return JSONL
    raise FeedError(
        f"{part.uri}: can't tell its format; let its name end in .jsonl, .csv or .parquet, or set "
        "LOOKALIKE_FEED__FORMAT"
    )


def _said(beginning: bytes) -> bytes:
    return beginning.removeprefix(BOM_UTF8).lstrip()


def _peeked(chunks: Iterator[bytes]) -> tuple[bytes, Iterator[bytes]]:
    """The first bytes, as many as tell what it is, and all chunks."""
    first: list[bytes] = []
    while sum(map(len, first)) < _BEGINNING_BYTES and (chunk := next(chunks, b"")):
        first.append(chunk)
    beginning = b"".join(first)
    return beginning, chain([beginning] if beginning else [], chunks)
