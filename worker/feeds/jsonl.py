"""JSON Lines: one JSON object a line."""

import json
from collections.abc import Iterable, Iterator

from recommender.errors import FeedError, InvalidEvent
from worker.feeds.columns import MakeRecord
from worker.feeds.record import Place, Record
from worker.feeds.store import Part

MAX_LINE_BYTES = 4 * 2**20
_BOM = b"\xef\xbb\xbf"


def read_jsonl(
    chunks: Iterable[bytes], part: Part, at: Place, make: MakeRecord, *, offsets: bool
) -> Iterator[Record]:
    """The records of a part; blank lines are counted, and passed over.

    Args:
        chunks: the part's text, from byte `at.offset` on.
        part: whose they are.
        at: where to begin. Without an offset, `at.record` lines are skipped.
        make: makes the records, of JSON values.
        offsets: whether reading can go on at an offset.

    Raises:
        FeedError: a line is too long, or the last one breaks off.
    """
    uri, number, offset = part.uri, at.record if at.offset else 0, at.offset
    for line, is_ended in _lines(chunks, uri):
        number += 1
        offset += len(line) + is_ended
        if number <= at.record or not line or line.isspace():
            continue
        after = Place(at.etag, part.name, number, offset if offsets else 0)
        raw = None
        try:
            raw = json.loads(line.removeprefix(_BOM) if number == 1 else line)
        except (ValueError, RecursionError) as error:
            record = Record(number, after, uri, None, None, InvalidEvent("", f"not JSON: {error}"), line)
        else:
            record = make(raw, number, after, uri, line)
        if not is_ended and not isinstance(raw, dict):
            raise FeedError(f"{uri} line {number}: it breaks off here; write the whole feed again")
        yield record


def _lines(chunks: Iterable[bytes], uri: str) -> Iterator[tuple[bytes, bool]]:
    """Each line without its end, and whether it has one."""
    pending = b""
    for chunk in chunks:
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            yield line, True
        if len(pending) > MAX_LINE_BYTES:
            raise FeedError(f"{uri}: a line is longer than {MAX_LINE_BYTES} bytes")
    if pending:
        yield pending, False
