"""A feed that is piped in: read once, from its start."""

import time
from collections.abc import Generator
from io import BufferedReader
from typing import BinaryIO

from recommender.errors import FeedError
from worker.feeds.store import CHUNK_BYTES, Part


class PipedFeed:
    """What arrives on standard input; it has no state, so that no other reading can go on in it."""

    def __init__(self, source: BinaryIO) -> None:
        self._source = source

    def parts(self) -> list[Part]:
        """The one that arrives, now."""
        return [Part("", "-", "piped", None, time.time_ns() // 10**6)]

    def stream(self, part: Part, start: int) -> Generator[bytes, None, None]:
        """As it arrives, without waiting for a chunk to be full."""
        assert not start
        read = self._source.read1 if isinstance(self._source, BufferedReader) else self._source.read
        try:
            while chunk := read(CHUNK_BYTES):
                yield chunk
        except OSError as error:
            raise FeedError(f"{part.uri}: {error.strerror}") from error

    def read_at(self, part: Part, start: int, length: int) -> bytes:  # noqa: ARG002  # a Store's
        """Refused."""
        raise FeedError(f"{part.uri}: Parquet can't be piped; name the file")

    def close(self) -> None:
        """It is whoever opened it that closes it."""
