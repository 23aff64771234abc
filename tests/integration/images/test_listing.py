"""Listings of buckets as boto3 asks for them, by S3 over HTTP and by a server that misbehaves."""

from collections.abc import Iterator
from typing import Any

import pytest

from config.settings import ImageSettings, S3Settings
from recommender.errors import ImageNotAllowed, ImageNotFound, ImageStoreUnavailable
from recommender.images.source import ImageSource
from tests.integration.images.conftest import Handler

BUCKET = "shop-images"
ODD = ("deep/er/a b+c.jpg", "deep/er/d%20e&f.jpg", "deep/Grün/ß.webp", "deep/what?is=this#here.png")


@pytest.fixture
def open_source() -> Iterator[Any]:
    opened: list[ImageSource] = []

    def open_(endpoint_url: str) -> ImageSource:
        settings = S3Settings(endpoint_url=endpoint_url, buckets=(BUCKET, "missing"), timeout_s=2)
        opened.append(ImageSource(settings, ImageSettings(threads=4)))
        return opened[-1]

    yield open_
    for source in opened:
        source.close()


def test_keys_and_etags_are_those_that_a_get_knows(open_source: Any, s3: Any) -> None:
    source = open_source(s3.endpoint_url)
    uris = [s3.put(key, key.encode()) for key in (*ODD, "elsewhere.jpg")]
    found = source.list_objects(BUCKET, "deep/", "")
    assert not found.more
    assert [key for key, _ in found.objects] == sorted(ODD, key=str.encode)
    for (key, etag), uri in zip(found.objects, sorted(uris[:-1], key=str.encode), strict=True):
        fetched = source.fetch(uri)
        assert (key, etag.strip('"')) == (uri.removeprefix(f"s3://{BUCKET}/"), fetched.etag.strip('"'))


def test_a_page_goes_on_after_the_last_key_of_the_one_before(open_source: Any, s3: Any) -> None:
    source = open_source(s3.endpoint_url)
    for number in range(1001):
        s3.put(f"{number:04}", b"")
    first = source.list_objects(BUCKET, "", "")
    assert (len(first.objects), first.more) == (1000, True)
    last = source.list_objects(BUCKET, "", first.objects[-1][0])
    assert ([key for key, _ in last.objects], last.more) == (["1000"], False)
    assert source.list_objects(BUCKET, "", "1000").objects == ()


def test_what_may_not_be_listed_is_said(open_source: Any, s3: Any) -> None:
    source = open_source(s3.endpoint_url)
    with pytest.raises(ImageNotAllowed, match="LOOKALIKE_S3__BUCKETS"):
        source.list_objects("other", "", "")
    with pytest.raises(ImageNotFound, match="NoSuchBucket"):
        source.list_objects("missing", "", "")


def listing(inner: str) -> bytes:
    return (
        '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"{inner}</ListBucketResult>"
    ).encode()


@pytest.mark.parametrize(
    "body",
    [
        listing("<Contents><Key>a</Key>")[:-40],
        listing("<IsTruncated>true</IsTruncated>"),
        listing("<IsTruncated>true</IsTruncated><Contents><Key>a</Key></Contents>"),
        b"no XML at all",
    ],
)
def test_an_answer_that_leads_nowhere_may_be_asked_for_again(
    open_source: Any, http_server: Any, body: bytes
) -> None:
    http_server.answer = lambda handler: handler.reply(200, body)
    source = open_source(f"http://127.0.0.1:{http_server.port}")
    with pytest.raises(ImageStoreUnavailable):
        source.list_objects(BUCKET, "", "a")


def test_a_store_that_fails_may_be_asked_again(open_source: Any, http_server: Any) -> None:
    def fail(handler: Handler) -> None:
        handler.reply(503)

    http_server.answer = fail
    with pytest.raises(ImageStoreUnavailable, match="503"):
        open_source(f"http://127.0.0.1:{http_server.port}").list_objects(BUCKET, "", "")
