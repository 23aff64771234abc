import gzip
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from config.settings import ImageSettings, S3Settings
from recommender.errors import (
    ImageNotAllowed,
    ImageNotFound,
    ImageStoreUnavailable,
    ImageTooLarge,
)
from recommender.images.source import ImageSource
from tests.integration.images.conftest import serving

BUCKET = "shop-images"
URI = f"s3://{BUCKET}/a.jpg"


@pytest.fixture
def sources() -> Iterator[Any]:
    opened: list[ImageSource] = []

    def make(endpoint_url: str, *, max_bytes: int = 10_000, **s3: Any) -> ImageSource:
        settings = S3Settings(endpoint_url=endpoint_url, **{"buckets": (BUCKET,), **s3})
        opened.append(ImageSource(settings, ImageSettings(max_bytes=max_bytes, threads=4)))
        return opened[-1]

    yield make
    for source in opened:
        source.close()


@pytest.fixture
def source(s3: Any, sources: Any) -> ImageSource:
    made: ImageSource = sources(s3.endpoint_url)
    return made


@pytest.fixture
def faulty(http_server: Any, sources: Any) -> ImageSource:
    """A source whose S3 is the server that misbehaves."""
    made: ImageSource = sources(f"http://127.0.0.1:{http_server.port}", timeout_s=0.5)
    return made


def error_body(code: str) -> bytes:
    return f"<?xml version='1.0'?><Error><Code>{code}</Code><Message>so it is</Message></Error>".encode()


@pytest.mark.parametrize("key", ["a.jpg", "deep/er/a b+c.jpg", "what?is=this#here.png", "Grün/ß.webp"])
def test_any_key_is_fetched_as_it_is(source: ImageSource, s3: Any, key: str) -> None:
    fetched = source.fetch(s3.put(key, b"the bytes of " + key.encode()))
    assert fetched is not None
    assert fetched.data == b"the bytes of " + key.encode()


def test_an_etag_that_still_holds_fetches_nothing(source: ImageSource, s3: Any) -> None:
    uri = s3.put("a.jpg", b"first")
    first = source.fetch(uri)
    assert first is not None
    assert first.etag
    assert source.fetch(uri, etag=first.etag) is None
    s3.put("a.jpg", b"second")
    second = source.fetch(uri, etag=first.etag)
    assert second is not None
    assert second.data == b"second"
    assert second.etag != first.etag


def test_the_unchanged_body_is_not_sent(faulty: ImageSource, http_server: Any) -> None:
    http_server.answer = lambda handler: handler.reply(304, ETag='"abc"')
    assert faulty.fetch(URI, etag='"abc"') is None
    path, headers = http_server.seen[0]
    assert path == f"/{BUCKET}/a.jpg"
    assert headers["if-none-match"] == '"abc"'


def test_unchanged_is_no_answer_to_who_did_not_ask(faulty: ImageSource, http_server: Any) -> None:
    http_server.answer = lambda handler: handler.reply(304, ETag='"abc"')
    with pytest.raises(ImageStoreUnavailable, match="304"):
        faulty.fetch(URI)


def test_a_bucket_that_is_not_listed_names_the_setting(source: ImageSource, s3: Any) -> None:
    s3.client.create_bucket(Bucket="secrets")
    s3.client.put_object(Bucket="secrets", Key="a.jpg", Body=b"x")
    with pytest.raises(ImageNotAllowed, match="'secrets' is not in LOOKALIKE_S3__BUCKETS"):
        source.fetch("s3://secrets/a.jpg")


@pytest.mark.parametrize("uri", ["ftp://host/a.jpg", "http://host/a.jpg", "a.jpg", "s3:/shop-images/a.jpg"])
def test_other_schemes_are_not_allowed(source: ImageSource, uri: str) -> None:
    with pytest.raises(ImageNotAllowed, match="must start with s3://, https:// or file://"):
        source.fetch(uri)


def test_a_missing_key(source: ImageSource) -> None:
    with pytest.raises(ImageNotFound, match=r"nothing\.jpg: the store answered 404 NoSuchKey"):
        source.fetch(f"s3://{BUCKET}/nothing.jpg")


def test_a_missing_bucket(s3: Any, sources: Any) -> None:
    with pytest.raises(ImageNotFound, match="404 NoSuchBucket"):
        sources(s3.endpoint_url, buckets=("gone",)).fetch("s3://gone/a.jpg")


def test_a_uri_without_a_key(source: ImageSource) -> None:
    with pytest.raises(ImageNotFound, match="no key"):
        source.fetch(f"s3://{BUCKET}/")


def test_an_object_that_announces_too_much_is_not_read(faulty: ImageSource, http_server: Any) -> None:
    def answer(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "10001")
        handler.end_headers()
        http_server.released.wait(30)  # not a byte of the body

    http_server.answer = answer
    with pytest.raises(ImageTooLarge, match="10001 bytes, more than the 10000"):
        faulty.fetch(URI)


def test_the_byte_limit_to_the_byte(source: ImageSource, s3: Any) -> None:
    assert source.fetch(s3.put("just", b"x" * 10_000)) is not None
    with pytest.raises(ImageTooLarge, match="LOOKALIKE_IMAGES__MAX_BYTES"):
        source.fetch(s3.put("over", b"x" * 10_001))


def test_the_byte_limit_holds_where_no_length_is_announced(faulty: ImageSource, http_server: Any) -> None:
    def answer(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Transfer-Encoding", "chunked")
        handler.end_headers()
        for _ in range(100):
            handler.wfile.write(b"400\r\n" + b"x" * 1024 + b"\r\n")
        handler.wfile.write(b"0\r\n\r\n")

    http_server.answer = answer
    with pytest.raises(ImageTooLarge):
        faulty.fetch(URI)


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (500, "InternalError"),
        (503, "SlowDown"),
        (503, "ServiceUnavailable"),
        (408, "RequestTimeout"),
        (429, "TooManyRequests"),
        (400, "RequestTimeout"),
        (400, "ExpiredToken"),
        (403, "InvalidAccessKeyId"),
        (403, "SignatureDoesNotMatch"),
        (403, "RequestTimeTooSkewed"),
    ],
)
def test_what_may_pass(faulty: ImageSource, http_server: Any, status: int, code: str) -> None:
    http_server.answer = lambda handler: handler.reply(status, error_body(code))
    with pytest.raises(ImageStoreUnavailable, match=code):
        faulty.fetch(URI)


@pytest.mark.parametrize(
    ("status", "code", "said"),
    [
        (403, "AccessDenied", "access denied"),
        (403, "InvalidObjectState", "InvalidObjectState"),
        (404, "NoSuchKey", "404"),
        (400, "KeyTooLongError", "KeyTooLong"),
    ],
)
def test_what_will_not(faulty: ImageSource, http_server: Any, status: int, code: str, said: str) -> None:
    http_server.answer = lambda handler: handler.reply(status, error_body(code))
    with pytest.raises(ImageNotFound, match=said):
        faulty.fetch(URI)


def test_a_passing_fault_is_tried_twice_and_no_more(faulty: ImageSource, http_server: Any) -> None:
    http_server.answer = lambda handler: handler.reply(503, error_body("SlowDown"))
    with pytest.raises(ImageStoreUnavailable):
        faulty.fetch(URI)
    assert len(http_server.seen) == 2


def test_a_short_body(faulty: ImageSource, http_server: Any) -> None:
    http_server.answer = lambda handler: handler.reply(200, b"half", Content_Length="8")
    with pytest.raises(ImageStoreUnavailable, match=r"s3://shop-images/a\.jpg"):
        faulty.fetch(URI)


def test_no_answer_in_time(faulty: ImageSource, http_server: Any) -> None:
    http_server.answer = lambda _: http_server.released.wait(30)
    with pytest.raises(ImageStoreUnavailable, match="timeout"):
        faulty.fetch(URI)


def test_a_body_that_stalls(faulty: ImageSource, http_server: Any) -> None:
    def answer(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "8")
        handler.end_headers()
        handler.wfile.write(b"half")
        http_server.released.wait(30)

    http_server.answer = answer
    with pytest.raises(ImageStoreUnavailable):
        faulty.fetch(URI)


BEGINNING = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("beginning", "drop"),
    [
        (BEGINNING + b"Content-Length: 9999\r\n\r\n", b"x"),
        (BEGINNING + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (BEGINNING + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
        (BEGINNING + b"X-Filler: ", b"x"),
        (b"HTTP/1.1 ", b" "),
        (b"HTTP/1.1 503 Slow Down\r\nContent-Length: 9999\r\n\r\n", b"x"),
    ],
    ids=["body", "chunks", "length of a chunk", "header", "status", "error"],
)
def test_an_answer_in_drops_is_given_up(
    faulty: ImageSource, http_server: Any, beginning: bytes, drop: bytes
) -> None:
    """Without a deadline of the whole, this test would never end."""
    http_server.answer = lambda handler: handler.drip(beginning, drop)
    with pytest.raises(ImageStoreUnavailable, match=r"s3://shop-images/a\.jpg"):
        faulty.fetch(URI)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"220 mail.example ESMTP\r\n",
        b"\0" * 100,
        BEGINNING,
        BEGINNING + b"Content-Length: 8\r\n\r\nhalf",
        BEGINNING + b"Content-Length: many\r\n\r\npixels",
        BEGINNING + b"Content-Length: -1\r\n\r\npixels",
        BEGINNING + b"\r\npixels",
        BEGINNING + b"Transfer-Encoding: chunked\r\n\r\n8\r\nhalf",
        BEGINNING + b"Transfer-Encoding: chunked\r\n\r\n4\r\nhalf\r\n",
        BEGINNING + b"Transfer-Encoding: chunked\r\n\r\nwhat?\r\n",
        BEGINNING + b"X-Filler: x\r\n" * 1000 + b"\r\n",
        BEGINNING + b"Content-Length: 6\r\nLast-Modified: never\r\n\r\npixels",
        b"HTTP/1.1 503 Slow Down\r\nContent-Length: 80\r\n\r\n<Error><Co",
        b"HTTP/1.1 500 \r\nContent-Length: 3\r\n\r\n\xff\0<",
    ],
)
@pytest.mark.parametrize("reset", [False, True])
def test_what_is_no_whole_answer(faulty: ImageSource, http_server: Any, raw: bytes, reset: bool) -> None:
    http_server.answer = lambda handler: handler.send(raw, reset=reset)
    with pytest.raises(ImageStoreUnavailable, match=r"s3://shop-images/a\.jpg"):
        faulty.fetch(URI)
    http_server.answer = lambda handler: handler.reply(200, b"pixels")
    fetched = faulty.fetch(URI)
    assert fetched is not None
    assert fetched.data == b"pixels"


def test_more_than_was_announced_is_not_read(faulty: ImageSource, http_server: Any) -> None:
    another = BEGINNING + b"Content-Length: 6\r\n\r\nforged"
    http_server.answer = lambda handler: handler.reply(200, b"pixels" + another, Content_Length="6")
    for _ in range(2):
        fetched = faulty.fetch(URI)
        assert fetched is not None
        assert fetched.data == b"pixels"


@pytest.mark.parametrize("status", [301, 302, 307, 308])
def test_a_redirect_is_not_followed(faulty: ImageSource, http_server: Any, status: int) -> None:
    """Wherever it leads: our signature would go there too. The endpoint or region is set wrong."""
    with serving() as elsewhere:
        location = f"http://127.0.0.1:{elsewhere.port}/{BUCKET}/a.jpg"
        http_server.answer = lambda handler: handler.reply(
            status, error_body("PermanentRedirect"), Location=location
        )
        with pytest.raises(ImageStoreUnavailable, match=f"{status} PermanentRedirect"):
            faulty.fetch(URI)
        assert not elsewhere.seen


def test_what_is_compressed_stays_so(faulty: ImageSource, http_server: Any) -> None:
    bomb = gzip.compress(bytes(10**6))
    http_server.answer = lambda handler: handler.reply(200, bomb, Content_Encoding="gzip")
    fetched = faulty.fetch(URI)
    assert fetched is not None
    assert fetched.data == bomb


def test_nobody_there(sources: Any, free_port: int) -> None:
    with pytest.raises(ImageStoreUnavailable, match="Could not connect"):
        sources(f"http://127.0.0.1:{free_port}", timeout_s=1).fetch(URI)


def test_no_credentials(s3: Any, sources: Any, monkeypatch: pytest.MonkeyPatch, tmp_path: Any) -> None:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.delenv(name)
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", str(tmp_path / "none"))
    monkeypatch.setenv("AWS_CONFIG_FILE", str(tmp_path / "none"))
    with pytest.raises(ImageStoreUnavailable, match="credentials"):
        sources(s3.endpoint_url).fetch(URI)


def test_many_threads_share_one_client(source: ImageSource, s3: Any) -> None:
    uris = [s3.put(f"{n}.jpg", str(n).encode()) for n in range(40)]
    with ThreadPoolExecutor(12) as pool:
        found = [fetched.data for fetched in pool.map(source.fetch, uris) if fetched is not None]
    assert found == [str(n).encode() for n in range(40)]
