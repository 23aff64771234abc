"""What reading a feed gives: records, and the places between them where reading can go on."""

import json
from dataclasses import dataclass
from typing import Any, ClassVar

from pydantic import ConfigDict, NonNegativeInt

from recommender.errors import InvalidEvent


@dataclass(frozen=True, slots=True)
class Place:
    """Between two records of one state of a feed. JSON-able: `asdict(place)`, `Place(**found)`.

    The default is the start of any feed. Compare places for equality only: which of two comes first is
    decided by the feed's parts.
    """

    etag: str = ""
    """Which state of the whole feed, all parts of it; another one is read from its start."""
    part: str = ""
    """The part's name below the feed's URI; empty where the feed is one object."""
    record: NonNegativeInt = 0
    """How many lines (JSONL) or records (CSV, Parquet) of the part are before it."""
    offset: NonNegativeInt = 0
    """Where in the part's bytes it is; 0 where reading goes on by skipping records instead."""

    __pydantic_config__: ClassVar = ConfigDict(extra="forbid")  # positions come from Redis, and are checked


@dataclass(slots=True)
class Record:
    """One record of a feed: a product document that is yet to be validated, or why there is none."""

    number: int
    """Its place in the part, counted from 1: the line in JSONL, the record in CSV (without the header)."""
    after: Place
    """Where the next record begins."""
    uri: str
    """Of the part that holds it."""
    id: str | None
    """The product's id where it can be read, also from a record that is refused; not validated."""
    document: dict[str, Any] | None
    """In the names of the wire format; None where there is an `error`."""
    error: InvalidEvent | None
    """Why it can't be a document; `field` is the wire format's, the message names the column too."""
    raw: bytes | dict[str, Any]
    """As it lies in the feed: a line without its end, or the values by column."""

    @property
    def text(self) -> str:
        """As it lies in the feed, for a dead letter: the line, or the columns as a JSON object."""
        if isinstance(self.raw, bytes):
            return self.raw.decode(errors="replace")
        return json.dumps(self.raw, default=str, ensure_ascii=False).encode(errors="replace").decode()

    @property
    def size_bytes(self) -> int:
        """About as many bytes as it takes in a message."""
        return len(self.raw) if isinstance(self.raw, bytes) else len(self.text)

    def complaint(self, error: InvalidEvent) -> InvalidEvent:
        """`error` (the record's own, or what validation says of its document), naming part and record."""
        kind = "line" if isinstance(self.raw, bytes) else "record"
        return InvalidEvent(error.field, f"{self.uri} {kind} {self.number}: {error}")
