"""Feeds in buckets, over HTTP."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import pytest

from config.settings import Settings
from recommender.errors import FeedChanged, FeedError, ImageStoreUnavailable
from recommender.images.source import ImageSource
from tests.unit.worker.feeds.conftest import same
from tests.unit.worker.feeds.samples import FORMATS, jsonl, products
from worker.feeds import s3 as module
from worker.feeds.open import open_feed
from worker.feeds.record import Place, Record

DOCUMENTS = products([f"p{n}" for n in range(11)])
START = Place()
BEGINNING = b"HTTP/1.1 206 Partial Content\r\n"


@dataclass
class Reader:
    settings: Settings
    source: ImageSource

    def read(self, uri: str, place: Place = START) -> list[Record]:
        with open_feed(uri, self.settings, self.source, place) as feed:
            return list(feed)


@pytest.fixture
def reader_at(make_settings: Any, open_source: Any) -> Callable[..., Reader]:
    def make(endpoint_url: str, bucket: str, timeout_s: float = 10) -> Reader:
        settings = make_settings(
            s3={"endpoint_url": endpoint_url, "buckets": (bucket,), "timeout_s": timeout_s},
            feed={"allowed": ("s3://",)},
        )
        return Reader(settings, open_source(settings))

    return make


@pytest.fixture
def reader(reader_at: Any, s3: Any) -> Reader:
    made: Reader = reader_at(s3.endpoint_url, s3.bucket)
    return made


@pytest.mark.parametrize("ending", list(FORMATS))
def test_every_format_and_every_place_in_it(reader: Reader, s3: Any, ending: str) -> None:
    uri = s3.put(f"shop/feed.{ending}", FORMATS[ending](DOCUMENTS))
    whole = reader.read(uri)
    assert [record.document for record in whole] == DOCUMENTS
    for done in (1, 5, 11):
        assert same(reader.read(uri, whole[done - 1].after), whole[done:])


def test_the_rest_is_asked_for_by_its_offset(reader: Reader, s3: Any) -> None:
    uri = s3.put("feed.jsonl", jsonl(DOCUMENTS))
    place = reader.read(uri)[8].after
    asked: list[str] = []
    events = reader.source.s3_client.meta.events
    events.register("before-send.s3.GetObject", lambda request, **_: asked.append(request.headers["Range"]))
    assert len(reader.read(uri, place)) == 2
    assert asked == [f"bytes={place.offset}-".encode()]


def test_parts_below_a_prefix_in_the_order_of_their_keys(reader: Reader, s3: Any) -> None:
    for key in ("a/2.jsonl", "a/10.csv.gz", "a/b/1.parquet", "a/_SUCCESS", "a/", "ab/1.jsonl"):
        ending = key.partition(".")[2]
        s3.put(key, FORMATS.get(ending, lambda _: b"")(products([key])))
    records = reader.read(f"s3://{s3.bucket}/a/")
    assert [record.id for record in records] == ["a/10.csv.gz", "a/2.jsonl", "a/b/1.parquet"]
    assert [record.after.part for record in records] == ["10.csv.gz", "2.jsonl", "b/1.parquet"]
    for done, record in enumerate(records, start=1):
        assert same(reader.read(f"s3://{s3.bucket}/a/", record.after), records[done:])


def test_more_parts_than_one_listing_holds(reader: Reader, s3: Any) -> None:
    for number in range(1001):
        s3.put(f"a/{number:04}.jsonl", jsonl(products([str(number)])) if number in {0, 1000} else b"")
    assert [record.id for record in reader.read(f"s3://{s3.bucket}/a/")] == ["0", "1000"]


def test_a_version_stays_what_it_was(reader: Reader, s3: Any) -> None:
    s3.client.put_bucket_versioning(Bucket=s3.bucket, VersioningConfiguration={"Status": "Enabled"})
    uri = s3.put("feed.csv", FORMATS["csv"](products(["old"])))
    version = s3.client.head_object(Bucket=s3.bucket, Key="feed.csv")["VersionId"]
    s3.put("feed.csv", FORMATS["csv"](products(["new"])))
    assert [record.id for record in reader.read(uri)] == ["new"]
    (record,) = reader.read(f"{uri}?versionId={version}")
    assert record.id == "old"
    assert reader.read(f"{uri}?versionId={version}", record.after) == []


def test_the_time_of_the_object_is_the_version_of_what_has_none(reader: Reader, s3: Any) -> None:
    uri = s3.put("feed.jsonl", b'{"id": "1"}\n')
    modified = s3.client.head_object(Bucket=s3.bucket, Key="feed.jsonl")["LastModified"]
    (record,) = reader.read(uri)
    assert record.document == {"id": "1", "version": int(modified.timestamp()) * 1000}


def test_an_object_that_has_changed_is_read_from_its_start(reader: Reader, s3: Any) -> None:
    uri = s3.put("feed.jsonl", jsonl(DOCUMENTS))
    place = reader.read(uri)[8].after
    s3.put("feed.jsonl", jsonl(DOCUMENTS[:3]))
    assert len(reader.read(uri, place)) == 3


@pytest.mark.parametrize("change", ["write", "remove"])
def test_a_part_that_changes_before_its_turn_is_no_end(reader: Reader, s3: Any, change: str) -> None:
    for number in (1, 2):
        s3.put(f"a/{number}.jsonl", jsonl(products([str(number)])))
    with open_feed(f"s3://{s3.bucket}/a/", reader.settings, reader.source) as feed:
        records = iter(feed)
        assert next(records).id == "1"
        if change == "write":
            s3.put("a/2.jsonl", jsonl(products(["3"])))
        else:
            s3.client.delete_object(Bucket=s3.bucket, Key="a/2.jsonl")
        with pytest.raises(FeedChanged, match=r"a/2\.jsonl: it is gone, or another"):
            next(records)


def test_a_parquet_that_changes_while_it_is_read(reader: Reader, s3: Any) -> None:
    uri = s3.put("feed.parquet", FORMATS["parquet"](DOCUMENTS))
    with open_feed(uri, reader.settings, reader.source) as feed:
        records = iter(feed)
        next(records)
        s3.put("feed.parquet", FORMATS["parquet"](DOCUMENTS[1:]))
        with pytest.raises(FeedChanged, match="gone, or another"):
            list(records)


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("s3://shop-images/no-feed", "404"),
        ("s3://shop-images/no/feed/", "no part of a feed is there"),
        ("s3://elsewhere/feed", "'elsewhere' is not in LOOKALIKE_S3__BUCKETS"),
        ("s3://shop-images/feed?versionId=nonsense", "answered 4"),
    ],
)
def test_a_feed_that_is_not_there(reader: Reader, s3: Any, uri: str, said: str) -> None:
    assert s3.bucket == "shop-images"
    with pytest.raises(FeedError, match=said):
        reader.read(uri)


HEAD = {"ETag": '"e"', "Content_Length": "1000", "Last_Modified": "Mon, 01 Jan 2024 00:00:00 GMT"}
WHOLE = b'ETag: "e"\r\nContent-Range: bytes 0-999/1000\r\n'


@pytest.mark.parametrize(
    ("raw", "error", "said"),
    [
        (
            BEGINNING + WHOLE + b"Content-Length: 1000\r\n\r\n" + b'{"id": "1"}\n',
            ImageStoreUnavailable,
            "s3://shop/f",
        ),
        (BEGINNING + WHOLE + b"\r\n" + b'{"id": "1"}\n', ImageStoreUnavailable, "something else"),
        (BEGINNING + b'ETag: "e"\r\nContent-Length: 2\r\n\r\n{}', ImageStoreUnavailable, "something else"),
        (BEGINNING + b'ETag: "x"\r\nContent-Length: 2\r\n\r\n{}', FeedChanged, "another state"),
        (b"HTTP/1.1 503 Slow Down\r\nContent-Length: 0\r\n\r\n", ImageStoreUnavailable, "503"),
        (b"HTTP/1.1 403 Forbidden\r\nContent-Length: 0\r\n\r\n", FeedError, "403"),
        (b"", ImageStoreUnavailable, "s3://shop/f"),
    ],
    ids=["short", "no length", "no range", "another etag", "503", "403", "hung up"],
)
def test_what_is_no_whole_answer_is_no_end(
    reader_at: Any, http_server: Any, raw: bytes, error: type[Exception], said: str
) -> None:
    def answer(handler: Any) -> None:
        handler.send(raw)

    def head(handler: Any) -> None:
        handler.reply(200, **HEAD)

    http_server.answer = answer
    http_server.head = head
    reader = reader_at(f"http://127.0.0.1:{http_server.port}", "shop", timeout_s=0.5)
    with pytest.raises(error, match=said):
        reader.read("s3://shop/f.jsonl")


def test_an_answer_in_drops_is_given_up(reader_at: Any, http_server: Any) -> None:
    http_server.head = lambda handler: handler.reply(200, **HEAD)
    http_server.answer = lambda handler: handler.drip(BEGINNING + WHOLE + b"Content-Length: 1000\r\n\r\n")
    reader = reader_at(f"http://127.0.0.1:{http_server.port}", "shop", timeout_s=0.1)
    with pytest.raises(ImageStoreUnavailable):
        reader.read("s3://shop/f.jsonl")


def test_a_stream_is_read_chunk_by_chunk(reader: Reader, s3: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "CHUNK_BYTES", 64)
    uri = s3.put("feed.jsonl", jsonl(DOCUMENTS))
    assert [record.document for record in reader.read(uri)] == DOCUMENTS
