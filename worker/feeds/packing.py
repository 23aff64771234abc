"""gzip and zstd, told by their first bytes and undone as a stream."""

from collections.abc import Iterator

import pyarrow as pa

from recommender.errors import FeedError
from worker.feeds.store import CHUNK_BYTES

_BY_MAGIC = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd"}  # RFC 1952, RFC 8878
BY_ENDING = {"gz": "gzip", "gzip": "gzip", "zst": "zstd", "zstd": "zstd"}


def packing_of(beginning: bytes) -> str | None:
    """What these first bytes of a file are packed with, if anything."""
    return next((name for magic, name in _BY_MAGIC.items() if beginning.startswith(magic)), None)


def unpacked(chunks: Iterator[bytes], packing: str, uri: str) -> Iterator[bytes]:
    """The bytes that were packed, of all members or frames.

    Raises:
        FeedError: it breaks off, or is damaged.
    """
    stream = pa.CompressedInputStream(pa.PythonFile(_Chunks(chunks), "r"), packing)
    while True:
        try:
            chunk: bytes = stream.read(CHUNK_BYTES)
        except OSError as error:
            raise FeedError(
                f"{uri}: its {packing} breaks off or is damaged ({error}); write the whole feed again"
            ) from error
        if not chunk:
            return
        yield chunk


class _Chunks:
    """As much of a file as Arrow asks for: at most so many bytes, none at the end."""

    closed = False

    def __init__(self, chunks: Iterator[bytes]) -> None:
        self._chunks = chunks
        self._left = b""

    def read(self, at_most: int) -> bytes:
        if not self._left:
            self._left = next(self._chunks, b"")
        given, self._left = self._left[:at_most], self._left[at_most:]
        return given

    def close(self) -> None:
        """The chunks are their owner's to close."""
