"""What a fetch gives, and the limits under which a body is read."""

from collections.abc import Iterable
from dataclasses import dataclass
from io import BytesIO
from typing import Protocol

from recommender.errors import ImageTooLarge

CHUNK_BYTES = 256 * 1024
READS_PER_IMAGE = 6  # a whole image may take this many times the deadline of one read


@dataclass(frozen=True, slots=True)
class Fetched:
    """The bytes of an image file and the store's tag for them, to be sent back next time."""

    data: bytes
    etag: str | None


class Store(Protocol):
    """One kind of place that images come from; called from many threads."""

    def fetch(self, uri: str, etag: str | None) -> Fetched | None:
        """Read one image; None if it still has this `etag`. Blocks."""

    def close(self) -> None:
        """Close its connections."""


def check_size(uri: str, size_bytes: int, max_bytes: int) -> None:
    """Refuse what is too large before it is read.

    Raises:
        ImageTooLarge: `size_bytes` is over the limit.
    """
    if size_bytes > max_bytes:
        raise ImageTooLarge(
            uri, f"{size_bytes} bytes, more than the {max_bytes} of LOOKALIKE_IMAGES__MAX_BYTES"
        )


def read_body(uri: str, chunks: Iterable[bytes], max_bytes: int) -> bytes:
    """Join the chunks of a body as they arrive, within the byte limit.

    Raises:
        ImageTooLarge: more arrived than `max_bytes`, whatever the header had announced.
    """
    body = BytesIO()  # unlike a bytearray, it gives its bytes without copying them
    for chunk in chunks:
        check_size(uri, body.tell() + len(chunk), max_bytes)
        body.write(chunk)
    return body.getvalue()
