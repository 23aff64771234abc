"""Feeds: JSON Lines in S3, or in a file below the local root, read line by line."""

from collections.abc import Iterable, Iterator
from pathlib import Path
from urllib.parse import unquote, urlsplit

from config.settings import Settings
from recommender.errors import FeedError
from recommender.images.source import ImageSource

CHUNK_BYTES = 2**20
MAX_LINE_BYTES = 4 * 2**20


def open_feed(uri: str, settings: Settings, source: ImageSource) -> Iterator[bytes]:
    """Yield the lines of a feed, without holding it in memory.

    Raises:
        FeedError: it is not allowed, missing, or a line has no end.
        ImageStoreUnavailable: the object store failed; the feed can be read again later.
    """
    if not uri.startswith(settings.feed.allowed):
        raise FeedError(f"{uri}: no prefix of LOOKALIKE_FEED__ALLOWED matches it")
    if uri.startswith("s3://"):
        return _lines(source.stream(uri), uri)
    if uri.startswith("file://"):
        return _from_file(uri, settings)
    raise FeedError(f"{uri}: a feed is an s3:// or file:// URI")


def _from_file(uri: str, settings: Settings) -> Iterator[bytes]:
    if urlsplit(uri).netloc:
        raise FeedError(f"{uri}: a file:// URI names no host: file:///PATH")
    root, path = settings.images.local_root, _resolved(uri)
    if root is None or not path.is_relative_to(root.resolve()):
        raise FeedError(f"{uri}: not below LOOKALIKE_IMAGES__LOCAL_ROOT")
    folders = [_resolved(prefix) for prefix in settings.feed.allowed if prefix.startswith("file://")]
    if not any(path.is_relative_to(folder) for folder in folders):  # `..` and links lead out of a prefix
        raise FeedError(f"{uri}: it is {path}, and no prefix of LOOKALIKE_FEED__ALLOWED matches that")
    try:
        with path.open("rb") as file:
            yield from _lines(iter(lambda: file.read(CHUNK_BYTES), b""), uri)
    except OSError as error:
        raise FeedError(f"{uri}: {error.strerror}") from error


def _resolved(uri: str) -> Path:
    return Path(unquote(urlsplit(uri).path)).resolve()


def _lines(chunks: Iterable[bytes], uri: str) -> Iterator[bytes]:
    pending = b""
    for chunk in chunks:
        *lines, pending = (pending + chunk).split(b"\n")
        yield from lines
        if len(pending) > MAX_LINE_BYTES:
            raise FeedError(f"{uri}: a line is longer than {MAX_LINE_BYTES} bytes")
    if pending:
        yield pending
