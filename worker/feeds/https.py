"""Feeds on https hosts: one object, whose state is told by the ETag or time that its host sends."""

import ssl
from collections.abc import Callable, Generator, Iterator
from contextlib import ExitStack, contextmanager
from email.utils import parsedate_to_datetime

import httpx

from config.settings import Settings
from recommender.errors import (
    FeedChanged,
    FeedError,
    FeedUnavailable,
    ImageError,
    ImageStoreUnavailable,
)
from recommender.images.deadline import deadline
from recommender.images.https_hosts import HttpsHosts, is_public, may_pass
from worker.feeds.store import CHUNK_BYTES, Part

SETTING = "LOOKALIKE_FEED__ALLOWED"
_OK, _PARTIAL, _NO_RANGE = 200, 206, 416
_GONE = frozenset({404, 410, 412, _NO_RANGE})


class HttpsFeed:
    """One URL; it, and every redirect, begins with one of the allowed prefixes and leads to public addresses.

    Args:
        uri: what to read.
        settings: the allow-list, and the deadline of one connect or read.
        tls: how servers are verified; the usual authorities by default.
        is_allowed_address: which addresses a host may have.
    """

    def __init__(
        self,
        uri: str,
        settings: Settings,
        *,
        tls: ssl.SSLContext | None = None,
        is_allowed_address: Callable[[str], bool] = is_public,
    ) -> None:
        allowed = [httpx.URL(prefix) for prefix in settings.feed.allowed if prefix.startswith("https://")]
        self._prefixes = tuple(map(str, allowed))
        self._hosts = HttpsHosts(
            {prefix.netloc.decode("ascii") for prefix in allowed},
            SETTING,
            settings.s3.timeout_s,
            max_connections=1,
            tls=tls,
            is_allowed_address=is_allowed_address,
        )
        self._uri = uri
        self._timeout_s = settings.s3.timeout_s
        self._knows_ranges = False

    def parts(self) -> list[Part]:
        """Ask for the first byte: whether its host knows ranges, how long it is, and in which state."""
        with self._answered("bytes=0-0") as response:
            status = response.status_code
            if status not in {_OK, _PARTIAL, _NO_RANGE}:
                raise FeedError(f"{self._uri}: the host answered {status}")
            self._knows_ranges = status != _OK
            state, modified = _state(response), response.headers.get("Last-Modified")
        if state is None:
            raise FeedError(
                f"{self._uri}: the host sends neither an ETag nor Last-Modified, so that a change of it "
                "while it is read can't be seen; let it send one"
            )
        return [Part("", self._uri, state, _size(response), _ms(modified))]

    def stream(self, part: Part, start: int) -> Generator[bytes, None, None]:
        """One GET, of the rest where the host knows ranges, else of all of it."""
        if start and start == part.size_bytes:
            return
        asked = f"bytes={start}-" if start and self._knows_ranges else None
        with self._answered(asked) as response:
            self._check(part, response)
            passing = start if response.status_code == _OK else 0
            if response.status_code == _PARTIAL:
                _check_range(part, start, response)
            chunks = response.iter_raw(CHUNK_BYTES)
            while True:
                with deadline(self._timeout_s):
                    chunk = next(chunks, None)
                if chunk is None:
                    break
                if passing < len(chunk):
                    yield chunk[passing:]
                passing = max(passing - len(chunk), 0)

    def read_at(self, part: Part, start: int, length: int) -> bytes:
        """One GET."""
        if not self._knows_ranges:
            raise FeedError(f"{part.uri}: its host can't send a range of it, as Parquet needs; put it in S3")
        with self._answered(f"bytes={start}-{start + length - 1}") as response, deadline(self._timeout_s):
            self._check(part, response)
            _check_range(part, start, response)
            data = b"".join(response.iter_raw())
        if len(data) != length:
            raise FeedUnavailable(f"{part.uri}: asked for {length} bytes, the host sent {len(data)}")
        return data

    def close(self) -> None:
        """Close its connection."""
        self._hosts.close()

    @contextmanager
    def _answered(self, asked: str | None) -> Iterator[httpx.Response]:
        """The answer to a GET of the range that is asked for, or of all of it."""
        headers = {} if asked is None else {"Range": asked}
        try:
            with ExitStack() as stack:
                with deadline(self._timeout_s):
                    response = stack.enter_context(self._hosts.get(self._uri, headers, self._prefixes))
                if may_pass(response.status_code):
                    raise FeedUnavailable(f"{self._uri}: the host answered {response.status_code}")
                encoding = response.headers.get("Content-Encoding", "identity")
                if encoding != "identity":
                    raise FeedError(f"{self._uri}: the host sent it in the content encoding {encoding!r}")
                yield response
        except ImageError as error:
            raise FeedError(str(error)) from error
        except ImageStoreUnavailable as error:
            raise FeedUnavailable(str(error)) from error

    def _check(self, part: Part, response: httpx.Response) -> None:
        status = response.status_code
        if status in _GONE or (status in {_OK, _PARTIAL} and _state(response) != part.etag):
            raise FeedChanged(f"{part.uri}: it is gone, or another, since it was opened")
        if status not in {_OK, _PARTIAL}:
            raise FeedError(f"{part.uri}: the host answered {status}")
        is_chunked = "chunked" in response.headers.get("Transfer-Encoding", "").lower()
        if not is_chunked and "Content-Length" not in response.headers:
            raise FeedUnavailable(f"{part.uri}: the host announced no length, so that its end can't be told")


def _state(response: httpx.Response) -> str | None:
    """Which state the answer is of: its ETag, else its time and length."""
    etag: str | None = response.headers.get("ETag")
    modified = response.headers.get("Last-Modified")
    if etag is not None or modified is None:
        return etag
    return f"{modified} {_size(response)}"


def _size(response: httpx.Response) -> int | None:
    """Of the whole object."""
    if response.status_code == _OK:
        said = response.headers.get("Content-Length", "")
    else:  # bytes 0-0/1234, and bytes */0 where there is none
        said = response.headers.get("Content-Range", "").rpartition("/")[2]
    return int(said) if said.isdecimal() else None


def _ms(modified: str | None) -> int | None:
    try:
        return None if modified is None else int(parsedate_to_datetime(modified).timestamp() * 1000)
    except ValueError:
        return None


def _check_range(part: Part, start: int, response: httpx.Response) -> None:
    if not response.headers.get("Content-Range", "").startswith(f"bytes {start}-"):
        raise FeedUnavailable(f"{part.uri}: asked for its bytes from {start} on, the host sent others")
