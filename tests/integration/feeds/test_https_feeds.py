"""Feeds on an https host that answers what a test tells it to."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest

from recommender.errors import FeedChanged, FeedError, FeedUnavailable
from tests.unit.worker.feeds.conftest import same
from tests.unit.worker.feeds.samples import FORMATS, jsonl, products
from worker.feeds import https as module
from worker.feeds.https import HttpsFeed
from worker.feeds.open import Feed, open_feed, reading
from worker.feeds.record import Place, Record

DOCUMENTS = products([f"p{n}" for n in range(11)])
START = Place()
MODIFIED = "Mon, 01 Jan 2024 00:00:00 GMT"
OPEN = Callable[..., Any]


def is_loopback(address: str) -> bool:
    return address == "127.0.0.1"


@pytest.fixture
def server(https_server: Any) -> Any:
    return https_server[0]


@pytest.fixture
def opened(https_server: Any, make_settings: Any) -> OPEN:
    server, tls = https_server

    @contextmanager
    def make(path: str, place: Place = START, **options: Any) -> Iterator[Feed]:
        base = f"https://localhost:{server.port}"
        settings = make_settings(feed={"allowed": (f"{base}/feeds/",)}, s3={"timeout_s": 0.5})
        store = HttpsFeed(base + path, settings, **{"tls": tls, "is_allowed_address": is_loopback, **options})
        try:
            with reading(base + path, store, settings.feed, place) as feed:
                yield feed
        finally:
            store.close()

    return make


@pytest.fixture
def read(opened: OPEN) -> Callable[..., list[Record]]:
    def records(path: str, place: Place = START, **options: Any) -> list[Record]:
        with opened(path, place, **options) as feed:
            return list(feed)

    return records


def file(data: bytes, *, ranges: bool = True, **headers: str) -> Callable[[Any], None]:
    """A host that has one file."""

    def answer(handler: Any) -> None:
        asked = handler.headers.get("Range")
        if asked is None or not ranges:
            handler.reply(200, data, **headers)
            return
        start, _, end = asked.removeprefix("bytes=").partition("-")
        if int(start) >= len(data):
            handler.reply(416, Content_Range=f"bytes */{len(data)}", **headers)
            return
        part = data[int(start) : int(end) + 1 if end else None]
        span = f"bytes {start}-{int(start) + len(part) - 1}/{len(data)}"
        handler.reply(206, part, Content_Range=span, **headers)

    return answer


@pytest.mark.parametrize("ending", list(FORMATS))
@pytest.mark.parametrize("state", [{"ETag": '"1"'}, {"ETag": 'W/"1"'}, {"Last_Modified": MODIFIED}])
def test_every_format_and_every_place_in_it(
    server: Any, read: Any, ending: str, state: dict[str, str]
) -> None:
    server.answer = file(FORMATS[ending](DOCUMENTS), **state)
    whole = read(f"/feeds/feed.{ending}?token=a.b")
    assert [record.document for record in whole] == DOCUMENTS
    for done in (1, 11):
        assert same(read(f"/feeds/feed.{ending}?token=a.b", whole[done - 1].after), whole[done:])


@pytest.mark.parametrize("ranges", [True, False])
def test_the_rest_is_asked_for_where_the_host_knows_ranges(server: Any, read: Any, ranges: bool) -> None:
    server.answer = file(jsonl(DOCUMENTS), ranges=ranges, ETag='"1"')
    whole = read("/feeds/f.jsonl")
    server.seen.clear()
    place = whole[8].after
    assert place.offset
    assert same(read("/feeds/f.jsonl", place), whole[9:])
    (_, first), (_, second) = server.seen
    assert first["range"] == "bytes=0-0"
    assert second.get("range") == (f"bytes={place.offset}-" if ranges else None)


def test_a_length_that_is_never_announced(server: Any, read: Any) -> None:
    body = jsonl(DOCUMENTS)
    chunked = b"Transfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n" % (len(body), body)
    server.answer = lambda handler: handler.send(b'HTTP/1.1 200 OK\r\nETag: "1"\r\n' + chunked + b"0\r\n\r\n")
    whole = read("/feeds/f.jsonl")
    assert [record.document for record in whole] == DOCUMENTS
    assert read("/feeds/f.jsonl", whole[-1].after) == []
    server.answer = lambda handler: handler.send(b'HTTP/1.1 200 OK\r\nETag: "1"\r\n' + chunked)
    with pytest.raises(FeedUnavailable, match="RemoteProtocolError"):
        read("/feeds/f.jsonl")


def test_the_time_that_the_host_says_is_the_version_of_what_has_none(server: Any, opened: OPEN) -> None:
    server.answer = file(b'{"id": "1"}', Last_Modified=MODIFIED)
    with opened("/feeds/f.jsonl") as feed:
        assert (feed.modified_ms, feed.size_bytes) == (1_704_067_200_000, 11)
        assert [record.document for record in feed] == [{"id": "1", "version": 1_704_067_200_000}]
    server.answer = file(b'{"id": "1"}', ETag='"1"', Last_Modified="never")
    with opened("/feeds/f.jsonl") as feed:
        (record,) = feed
        assert "doesn't say when the feed was written" in str(record.error)


@pytest.mark.parametrize("status", [404, 410, 412, 416, 200])
def test_a_file_that_changes_while_it_is_read(
    server: Any, opened: OPEN, status: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", 64)
    server.answer = file(FORMATS["parquet"](DOCUMENTS), ETag='"1"')
    with opened("/feeds/f.parquet") as feed:
        records = iter(feed)
        next(records)
        server.answer = lambda handler: handler.reply(status, b"x", ETag='"2"')
        with pytest.raises(FeedChanged, match="gone, or another"):
            list(records)


def test_a_file_that_has_changed_is_read_from_its_start(server: Any, read: Any) -> None:
    server.answer = file(jsonl(DOCUMENTS), ETag='"1"')
    place = read("/feeds/f.jsonl")[5].after
    server.answer = file(jsonl(DOCUMENTS[:2]), ETag='"2"')
    assert [record.number for record in read("/feeds/f.jsonl", place)] == [1, 2]


@pytest.mark.parametrize(
    ("headers", "error", "said"),
    [
        ({"ETag": '"1"', "Content_Length": "999"}, FeedUnavailable, "RemoteProtocolError"),
        ({}, FeedError, "neither an ETag nor Last-Modified"),
        ({"ETag": '"1"', "Content_Encoding": "gzip"}, FeedError, "content encoding 'gzip'"),
    ],
)
def test_what_is_no_whole_answer_is_no_end(
    server: Any, read: Any, headers: dict[str, str], error: type[Exception], said: str
) -> None:
    server.answer = lambda handler: handler.reply(200, b'{"id": "1"}\n', **headers)
    with pytest.raises(error, match=said):
        read("/feeds/f.jsonl")


def test_a_body_that_ends_with_the_connection_is_no_end(server: Any, read: Any) -> None:
    server.answer = lambda handler: handler.send(b'HTTP/1.1 200 OK\r\nETag: "1"\r\n\r\n{"id": "1"}\n')
    with pytest.raises(FeedUnavailable, match="announced no length"):
        read("/feeds/f.jsonl")


def test_an_answer_in_drops_is_given_up(server: Any, read: Any) -> None:
    beginning = b'HTTP/1.1 200 OK\r\nETag: "1"\r\nContent-Length: 9999\r\n\r\n'
    server.answer = lambda handler: handler.drip(beginning)
    with pytest.raises(FeedUnavailable, match="ReadTimeout"):
        read("/feeds/f.jsonl")


def test_parquet_needs_ranges(server: Any, read: Any) -> None:
    server.answer = file(FORMATS["parquet"](DOCUMENTS), ranges=False, ETag='"1"')
    with pytest.raises(FeedError, match="can't send a range of it, as Parquet needs"):
        read("/feeds/f.parquet")


@pytest.mark.parametrize(("status", "error"), [(404, FeedError), (401, FeedError), (503, FeedUnavailable)])
def test_what_the_host_refuses(server: Any, read: Any, status: int, error: type[Exception]) -> None:
    server.answer = lambda handler: handler.reply(status)
    with pytest.raises(error, match=f"answered {status}"):
        read("/feeds/f.jsonl")


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("/secret/f.jsonl", "is not in LOOKALIKE_FEED__ALLOWED"),
        ("/feeds/../secret/f.jsonl", "is not in LOOKALIKE_FEED__ALLOWED"),
        ("https://evil.example/feeds/f.jsonl", "'evil.example' is not in LOOKALIKE_FEED__ALLOWED"),
        ("http://169.254.169.254/latest/meta-data", "not a plain https"),
        ("file:///etc/passwd", "not a plain https"),
    ],
)
def test_a_redirect_stays_within_what_is_allowed(server: Any, read: Any, location: str, said: str) -> None:
    server.answer = lambda handler: handler.reply(302, Location=location)
    with pytest.raises(FeedError, match=said):
        read("/feeds/f.jsonl")
    assert len(server.seen) == 1


def test_a_redirect_is_followed(server: Any, read: Any) -> None:
    there = file(jsonl(DOCUMENTS), ETag='"1"')
    moved = "/feeds/moved.jsonl"
    server.answer = lambda handler: (
        there(handler) if handler.path == moved else handler.reply(302, Location=moved)
    )
    assert len(read("/feeds/f.jsonl")) == 11


def test_a_host_at_an_address_that_is_not_public(make_settings: Any, server: Any) -> None:
    base = f"https://localhost:{server.port}/"
    settings = make_settings(feed={"allowed": (base,)})
    with (
        pytest.raises(FeedError, match="which is not a public address"),
        open_feed(f"{base}f.jsonl", settings, None),  # type: ignore[arg-type]  # for s3://
    ):
        pass
    assert not server.seen
