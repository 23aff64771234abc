"""Opening a feed: where it may come from, which state it is in, and its parts one after the other."""

import logging
import sys
from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

from config.feed import FeedSettings
from config.settings import Settings
from recommender.errors import FeedError
from recommender.images.source import ImageSource
from worker.feeds.columns import Columns
from worker.feeds.https import HttpsFeed
from worker.feeds.local import LocalFeed, allowed_path
from worker.feeds.metered import Metered
from worker.feeds.part import read_part
from worker.feeds.piped import PipedFeed
from worker.feeds.record import Place, Record
from worker.feeds.s3 import S3Feed
from worker.feeds.store import Part, Store, state_of

log = logging.getLogger(__name__)
START = Place()


class Feed:
    """A feed that is open; iterate over it once, in the thread that opened it.

    The iteration's normal end means that every record was read. Whatever is cut short, has vanished or was
    written to meanwhile raises.

    Attributes:
        start: where reading begins: the place that was asked for, or `Place(etag)` where the feed has another
            state now than that place is of, and is read from its start.
        modified_ms: when the feed was last written to, ms since 1970; None where its store doesn't say. The
            version of documents that have none.
        size_bytes: of all parts, as they are stored; None where a store doesn't say.
    """

    def __init__(self, store: Store, parts: list[Part], place: Place, settings: FeedSettings) -> None:
        times = [part.modified_ms for part in parts if part.modified_ms is not None]
        sizes = [part.size_bytes for part in parts if part.size_bytes is not None]
        state = state_of(parts)
        self.start = place if place.etag == state else Place(state)
        self.modified_ms = max(times, default=None)
        self.size_bytes = sum(sizes) if len(sizes) == len(parts) else None
        self._metered = Metered(store)
        self._records = self._read(parts, settings)

    def __iter__(self) -> Iterator[Record]:
        return self._records

    @property
    def read_bytes(self) -> int:
        """How many of `size_bytes` have been read or passed over; for progress."""
        return self._metered.read_bytes

    def close(self) -> None:
        """Stop reading; safe to call twice."""
        self._records.close()

    def _read(self, parts: list[Part], settings: FeedSettings) -> Generator[Record, None, None]:
        columns = Columns(settings, self.modified_ms)
        first = _first(parts, self.start)
        self._metered.passed(parts[:first])
        for part in parts[first:]:
            is_begun = part.name == self.start.part
            at = self.start if is_begun else Place(self.start.etag, part.name)
            yield from read_part(self._metered, part, at, columns, settings)
            self._metered.passed([part])


def _first(parts: list[Part], start: Place) -> int:
    """Which part reading begins in.

    Raises:
        FeedError: there is no such part.
    """
    if not start.part:
        return 0
    for number, part in enumerate(parts):
        if part.name == start.part:
            return number
    raise FeedError(f"{parts[0].uri}: the feed has no part {start.part!r}, where reading was to go on")


@contextmanager
def open_feed(uri: str, settings: Settings, source: ImageSource, place: Place = START) -> Iterator[Feed]:
    """Open a feed at a place, without holding it in memory.

    Blocks, as its iteration does. The first record is the very one after the place; but if the feed has
    another state now, it is read from its start (`feed_changed` in the log, and `Feed.start` says so).

    Args:
        uri: `s3://bucket/key`, with `?versionId=` one version of it; `https://host/path`; `file:///path`; or
            `s3://bucket/prefix/` and `file:///folder/` for all parts below, in the order of their names.
        settings: the allow-lists, and how feeds are read (`LOOKALIKE_FEED__*`).
        source: whose S3 client is used; `file://` and `https://` need none of it.
        place: the start, or `Record.after` of any record.

    Raises:
        FeedError: it is not allowed, not there, empty, cut short or malformed; for good.
        FeedChanged: it was written to, or lost a part, while it was read; opened again, it is read from its
            start.
        FeedUnavailable: its https host failed; may succeed later.
        ImageStoreUnavailable: the object store failed; may succeed later.
    """
    if not uri.startswith(settings.feed.allowed):
        raise FeedError(f"{uri}: no prefix of LOOKALIKE_FEED__ALLOWED matches it")
    with closing(_store(uri, settings, source)) as store, reading(uri, store, settings.feed, place) as feed:
        yield feed


@contextmanager
def open_path(name: str, settings: FeedSettings) -> Iterator[Feed]:
    """Open a file or a folder, wherever it lies; `-` is what is piped in, as JSON Lines unless set otherwise.

    Raises like `open_feed`.
    """
    if name == "-":
        settings = settings.model_copy(update={"format": _piped_format(settings)})
        store: Store = PipedFeed(sys.stdin.buffer)
    else:
        path = Path(name)
        name = f"{path}/" if path.is_dir() else str(path)
        store = LocalFeed(name, path)
    with reading(name, store, settings) as feed:
        yield feed


def _piped_format(settings: FeedSettings) -> str:
    return "jsonl" if settings.format == "auto" else settings.format


@contextmanager
def reading(uri: str, store: Store, settings: FeedSettings, place: Place = START) -> Iterator[Feed]:
    """Read what a store has; raises like `open_feed`."""
    with closing(Feed(store, store.parts(), place, settings)) as feed:
        if feed.size_bytes == 0:
            raise FeedError(f"{uri}: it is empty; a feed that has no products is taken for one that was lost")
        if place.etag and feed.start != place:
            was = {"feed": uri, "part": place.part, "record": place.record, "was": place.etag}
            log.warning("feed_changed", extra={**was, "is": feed.start.etag})
        yield feed


def _store(uri: str, settings: Settings, source: ImageSource) -> Store:
    if uri.startswith("s3://"):
        return S3Feed(uri, settings.s3, source.s3_client)
    if uri.startswith("https://"):
        return HttpsFeed(uri, settings)
    if uri.startswith("file://"):
        path, check = allowed_path(uri, settings)
        return LocalFeed(uri, path, check)
    raise FeedError(f"{uri}: a feed is an s3://, https:// or file:// URI")
