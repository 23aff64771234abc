"""Feeds: JSON Lines in S3, or in a file below the local root, read line by line from any position."""

import logging
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote, urlsplit

from config.settings import Settings
from recommender.errors import FeedError
from recommender.images.source import ImageSource

log = logging.getLogger(__name__)
CHUNK_BYTES = 2**18
MAX_LINE_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Place:
    """Between two lines of one state of a feed, which `etag` names."""

    etag: str = ""
    offset: int = 0
    line: int = 0
    """How many lines are before it."""


@dataclass(frozen=True, slots=True)
class Line:
    """One line, without its end. `after` is where the next begins; its number counts from 1."""

    text: bytes
    after: Place

    @property
    def number(self) -> int:
        """Its place in the feed, as people count."""
        return self.after.line


@contextmanager
def open_feed(uri: str, settings: Settings, source: ImageSource, place: Place) -> Iterator[Iterator[Line]]:
    """The lines of a feed from `place` on, without holding it in memory.

    A feed that has changed since `place` was noted is read from its start.

    Raises:
        FeedError: it is not allowed, missing, or (while it is read) a line has no end.
        ImageStoreUnavailable: the object store failed; the feed can be read again later.
    """
    if not uri.startswith(settings.feed.allowed):
        raise FeedError(f"{uri}: no prefix of LOOKALIKE_FEED__ALLOWED matches it")
    if uri.startswith("s3://"):
        with source.stream(uri, start=place.offset, etag=place.etag or None) as stream:
            yield _lines(stream.chunks, uri, _same_or_start(uri, place, stream.etag))
    elif uri.startswith("file://"):
        with _opened(uri, settings) as file:
            found = _same_or_start(uri, place, _state(file))
            file.seek(found.offset)
            yield _lines(_chunks(file, uri), uri, found)
    else:
        raise FeedError(f"{uri}: a feed is an s3:// or file:// URI")


def _same_or_start(uri: str, place: Place, etag: str) -> Place:
    if place.etag == etag:
        return place
    if place.line:
        log.warning("feed_changed", extra={"feed": uri, "line": place.line, "was": place.etag, "is": etag})
    return Place(etag)


@contextmanager
def _opened(uri: str, settings: Settings) -> Iterator[BinaryIO]:
    path = _allowed_path(uri, settings)
    try:
        file = path.open("rb")
    except OSError as error:
        raise FeedError(f"{uri}: {error.strerror}") from error
    with file:
        yield file


def _allowed_path(uri: str, settings: Settings) -> Path:
    if urlsplit(uri).netloc:
        raise FeedError(f"{uri}: a file:// URI names no host: file:///PATH")
    root, path = settings.images.local_root, _resolved(uri)
    if root is None or not path.is_relative_to(root.resolve()):
        raise FeedError(f"{uri}: not below LOOKALIKE_IMAGES__LOCAL_ROOT")
    folders = [_resolved(prefix) for prefix in settings.feed.allowed if prefix.startswith("file://")]
    if not any(path.is_relative_to(folder) for folder in folders):  # `..` and links lead out of a prefix
        raise FeedError(f"{uri}: it is {path}, and no prefix of LOOKALIKE_FEED__ALLOWED matches that")
    return path


def _resolved(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path)).resolve()


def _state(file: BinaryIO) -> str:
    """What an ETag is for an object: another file, or one that was written to, has another."""
    found = os.fstat(file.fileno())
    return f"{found.st_ino:x}-{found.st_mtime_ns:x}-{found.st_size:x}"


def _chunks(file: BinaryIO, uri: str) -> Iterator[bytes]:
    try:
        yield from iter(lambda: file.read(CHUNK_BYTES), b"")
    except OSError as error:
        raise FeedError(f"{uri}: {error.strerror}") from error


def _lines(chunks: Iterable[bytes], uri: str, place: Place) -> Iterator[Line]:
    etag, offset, number = place.etag, place.offset, place.line
    pending = b""
    for chunk in chunks:
        *lines, pending = (pending + chunk).split(b"\n")
        for line in lines:
            offset, number = offset + len(line) + 1, number + 1
            yield Line(line, Place(etag, offset, number))
        if len(pending) > MAX_LINE_BYTES:
            raise FeedError(f"{uri}: a line is longer than {MAX_LINE_BYTES} bytes")
    if pending:
        yield Line(pending, Place(etag, offset + len(pending), number + 1))
