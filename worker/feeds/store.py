"""Where a feed's bytes come from: one object or several parts, as a stream or at any offset."""

import hashlib
from collections.abc import Generator, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

from recommender.errors import FeedError

CHUNK_BYTES = 2**18
MAX_PARTS = 100_000


@dataclass(frozen=True, slots=True)
class Part:
    """One object or file of a feed, in one state."""

    name: str
    """Below the feed's URI; empty where that names this very object."""
    uri: str
    etag: str
    """Names the state; never empty."""
    size_bytes: int | None
    """As it is stored; None where its store doesn't say."""
    modified_ms: int | None
    """Since 1970; None where its store doesn't say."""


class Store(Protocol):
    """One feed's home; for one thread.

    All of it raises FeedError (not allowed, not there), FeedChanged (the part is gone, or another than was
    listed) and, where it may succeed later, ImageStoreUnavailable or FeedUnavailable.
    """

    def parts(self) -> list[Part]:
        """What the feed consists of now, in the order of their names; at least one. Blocks."""

    def stream(self, part: Part, start: int) -> Generator[bytes, None, None]:
        """The part's bytes from `start` on, which is not beyond its end. Blocks at every chunk; close it.

        It ends after the part's last byte; whatever cuts it short raises.
        """

    def read_at(self, part: Part, start: int, length: int) -> bytes:
        """Exactly these bytes of a part whose size is known. Blocks.

        Raises:
            FeedError: also if the store can't read from the middle.
        """

    def close(self) -> None:
        """Close what it has opened."""


def is_data(name: str) -> bool:
    """Whether a name below a prefix is that of a part.

    Not those of folders, nor names that begin with `_` or `.`, which writers of parts use for their own marks
    (`_SUCCESS`, `.part-0.crc`).
    """
    return not name.endswith("/") and not any(level.startswith(("_", ".")) for level in name.split("/"))


def in_order(uri: str, parts: Iterable[Part]) -> list[Part]:
    """The parts by their names' bytes, as S3 lists keys.

    Raises:
        FeedError: there are none, or too many.
    """
    found = sorted(parts, key=lambda part: part.name.encode(errors="surrogateescape"))
    if not found:
        raise FeedError(f"{uri}: no part of a feed is there; a name that begins with _ or . is none")
    if len(found) > MAX_PARTS:
        raise FeedError(f"{uri}: {len(found)} parts, more than {MAX_PARTS}; write larger ones")
    return found


def state_of(parts: Sequence[Part]) -> str:
    """The state of a whole feed: of its one object, or a digest of all parts' names and states."""
    if len(parts) == 1 and not parts[0].name:
        return parts[0].etag
    listing = "\n".join(f"{part.name}\t{part.etag}" for part in parts)
    return hashlib.sha256(listing.encode(errors="surrogateescape")).hexdigest()[:32]
