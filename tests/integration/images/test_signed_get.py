"""The short way to a bucket, which is taken once boto3 has shown it. Requests of boto3's own carry its id."""

import hashlib
import hmac
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from urllib.parse import quote

import pytest
from botocore import UNSIGNED
from botocore.config import Config
from botocore.credentials import RefreshableCredentials

from config.settings import ImageSettings, S3Settings
from recommender.errors import ImageNotFound, ImageStoreUnavailable, ImageTooLarge
from recommender.images import s3 as s3_store
from recommender.images.source import ImageSource

BUCKET = "shop-images"
URI = f"s3://{BUCKET}/a.jpg"
OURS, BOTO3S = "ours", "boto3's"


@pytest.fixture
def source(http_server: Any) -> Iterator[ImageSource]:
    """One that has fetched from the bucket once."""
    made = opened(http_server)
    yield made
    made.close()


def opened(http_server: Any) -> ImageSource:
    settings = S3Settings(
        endpoint_url=f"http://127.0.0.1:{http_server.port}", buckets=(BUCKET,), timeout_s=0.5
    )
    source = ImageSource(settings, ImageSettings(max_bytes=10_000, threads=4))
    http_server.answer = lambda handler: handler.reply(200, b"pixels", ETag='"e"')
    assert source.fetch(URI) is not None
    assert ways(http_server) == [BOTO3S]
    return source


def ways(http_server: Any) -> list[str]:
    """By which way each request came since the last time."""
    found = [BOTO3S if "amz-sdk-invocation-id" in headers else OURS for _, headers in http_server.seen]
    http_server.seen.clear()
    return found


def signature(path: str, headers: dict[str, str]) -> str:
    """Signature Version 4 of a GET, from its description alone; moto checks none."""
    credential, signed = (
        part.partition("=")[2] for part in headers["authorization"].partition(" ")[2].split(", ")[:2]
    )
    _, day, region, service, terminator = credential.split("/")
    lines = "".join(f"{name}:{headers[name].strip()}\n" for name in signed.split(";"))
    request = f"GET\n{path}\n\n{lines}\n{signed}\n{headers['x-amz-content-sha256']}"
    scope = f"{day}/{region}/{service}/{terminator}"
    hashed = hashlib.sha256(request.encode()).hexdigest()
    key = b"AWS4test"
    for part in (day, region, service, terminator):
        key = hmac.digest(key, part.encode(), "sha256")
    to_sign = f"AWS4-HMAC-SHA256\n{headers['x-amz-date']}\n{scope}\n{hashed}"
    return hmac.new(key, to_sign.encode(), "sha256").hexdigest()


@pytest.mark.parametrize(
    "key",
    [
        "a.jpg",
        "a b+c.jpg",
        "100%.jpg",
        "~a//b/../c.jpg",
        "what?is=this#here&.png",
        "Grün/ß\u4e16.webp",
        "/a",
        ".",
    ],
)
@pytest.mark.parametrize("etag", [None, '"other"'])
def test_it_asks_what_boto3_asks(source: ImageSource, http_server: Any, key: str, etag: str | None) -> None:
    for _ in range(2):
        fetched = source.fetch(f"s3://{BUCKET}/{key}", etag=etag)
        assert fetched is not None
        assert (fetched.data, fetched.etag) == (b"pixels", '"e"')
    source.s3_client.get_object(Bucket=BUCKET, Key=key, **({"IfNoneMatch": etag} if etag else {}))
    ours, _, boto3s = http_server.seen
    assert ways(http_server) == [OURS, OURS, BOTO3S]
    assert ours[0] == boto3s[0] == f"/{BUCKET}/{quote(key, safe='/~')}"
    for name in ("host", "if-none-match", "accept-encoding", "x-amz-content-sha256"):
        assert ours[1].get(name) == boto3s[1].get(name), name
    assert boto3s[1]["user-agent"].startswith(ours[1]["user-agent"].split()[0])
    for path, headers in (ours, boto3s):
        assert headers["authorization"].endswith(f"Signature={signature(path, headers)}")


def test_what_is_not_modified(source: ImageSource, http_server: Any) -> None:
    http_server.answer = lambda handler: handler.reply(304, ETag='"e"')
    assert source.fetch(URI, etag='"e"') is None
    assert source.fetch(URI, etag='"e"') is None
    assert ways(http_server) == [OURS, OURS]
    with pytest.raises(ImageStoreUnavailable, match="304"):
        source.fetch(URI)


def test_it_is_learned_from_what_is_not_modified_too(source: ImageSource, http_server: Any) -> None:
    http_server.answer = lambda handler: handler.reply(503)
    with pytest.raises(ImageStoreUnavailable):
        source.fetch(URI)
    http_server.answer = lambda handler: handler.reply(304, ETag='"e"')
    ways(http_server)
    assert source.fetch(URI, etag='"e"') is None
    assert source.fetch(URI, etag='"e"') is None
    assert ways(http_server) == [BOTO3S, OURS]


@pytest.mark.parametrize(
    ("status", "error", "requests"),
    [
        (403, ImageNotFound, 1),
        (404, ImageNotFound, 1),
        (301, ImageStoreUnavailable, 1),
        (503, ImageStoreUnavailable, 2),
    ],
)
def test_any_other_answer_is_asked_of_boto3(
    source: ImageSource, http_server: Any, status: int, error: type[Exception], requests: int
) -> None:
    http_server.answer = lambda handler: handler.reply(status)
    with pytest.raises(error, match=str(status)):
        source.fetch(URI)
    assert ways(http_server) == [OURS, *[BOTO3S] * requests]


@pytest.mark.parametrize(("status", "way"), [(403, OURS), (404, OURS), (301, BOTO3S), (503, BOTO3S)])
def test_the_way_holds_where_one_object_alone_is_amiss(
    source: ImageSource, http_server: Any, status: int, way: str
) -> None:
    http_server.answer = lambda handler: handler.reply(status)
    with pytest.raises((ImageNotFound, ImageStoreUnavailable)):
        source.fetch(URI)
    ways(http_server)
    http_server.answer = lambda handler: handler.reply(200, b"pixels")
    assert source.fetch(f"s3://{BUCKET}/other.jpg") is not None
    assert ways(http_server) == [way]


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"HTTP/1.1 200 OK\r\nContent-Length: 8\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nContent-Length: many\r\n\r\npixels",
        b"HTTP/1.1 200 OK\r\n\r\npixels",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n8\r\nhalf",
    ],
)
def test_what_is_no_whole_answer_is_asked_again(source: ImageSource, http_server: Any, raw: bytes) -> None:
    def answer(handler: Any) -> None:
        if "amz-sdk-invocation-id" in handler.headers:
            handler.reply(200, b"pixels")
        else:
            handler.send(raw)

    http_server.answer = answer
    fetched = source.fetch(URI)
    assert fetched is not None
    assert fetched.data == b"pixels"
    assert ways(http_server) == [OURS, BOTO3S]


def test_chunks_are_boto3s(source: ImageSource, http_server: Any) -> None:
    raw = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n6\r\npixels\r\n0\r\n\r\n"
    http_server.answer = lambda handler: handler.send(raw)
    for expected in ([OURS, BOTO3S], [BOTO3S]):
        fetched = source.fetch(URI)
        assert fetched is not None
        assert fetched.data == b"pixels"
        assert ways(http_server) == expected


def test_more_than_was_announced_is_not_read(source: ImageSource, http_server: Any) -> None:
    forged = b"HTTP/1.1 200 OK\r\nContent-Length: 6\r\n\r\nforged"
    http_server.answer = lambda handler: handler.reply(200, b"pixels" + forged, Content_Length="6")
    for _ in range(3):
        fetched = source.fetch(URI)
        assert fetched is not None
        assert fetched.data == b"pixels"


def test_the_byte_limit(source: ImageSource, http_server: Any) -> None:
    def answer(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Content-Length", "10001")
        handler.end_headers()
        http_server.released.wait(30)  # not a byte of the body

    http_server.answer = answer
    with pytest.raises(ImageTooLarge, match="10001 bytes, more than the 10000"):
        source.fetch(URI)
    http_server.answer = lambda handler: handler.reply(200, b"x" * 10_000)
    fetched = source.fetch(URI)
    assert fetched is not None
    assert len(fetched.data) == 10_000
    assert ways(http_server) == [OURS, OURS]


def test_an_answer_in_drops_is_given_up(source: ImageSource, http_server: Any) -> None:
    """Without a deadline of the whole, this test would never end."""
    beginning = b"HTTP/1.1 200 OK\r\nContent-Length: 9999\r\n\r\n"
    http_server.answer = lambda handler: handler.drip(beginning)
    with pytest.raises(ImageStoreUnavailable, match="Read timeout"):
        source.fetch(URI)
    assert ways(http_server)[0] == OURS


def test_credentials_that_expire_are_renewed(source: ImageSource, http_server: Any) -> None:
    issued = iter(range(100))

    def issue() -> dict[str, str]:
        expiry = datetime.now(UTC) + timedelta(seconds=1)  # which is to be renewed at once
        return {
            "access_key": f"key-{next(issued)}",
            "secret_key": "test",
            "token": "a token",
            "expiry_time": expiry.isoformat(),
        }

    signer = source.s3_client._request_signer
    signer._credentials = RefreshableCredentials.create_from_metadata(issue(), issue, "sts")
    for _ in range(3):
        source.fetch(URI)
    keys = [headers["authorization"].partition("Credential=")[2][:5] for _, headers in http_server.seen]
    assert keys == ["key-1", "key-2", "key-3"]
    assert all(headers["x-amz-security-token"] == "a token" for _, headers in http_server.seen)
    assert ways(http_server) == [OURS] * 3


def test_what_is_not_signed_stays_with_boto3(http_server: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(s3_store, "Config", lambda **c: Config(signature_version=UNSIGNED, **c))
    source = opened(http_server)
    source.fetch(URI)
    assert "authorization" not in http_server.seen[0][1]
    assert ways(http_server) == [BOTO3S]
    source.close()


def test_what_goes_through_a_proxy_stays_with_boto3(
    http_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{http_server.port}")
    source = opened(http_server)
    source.fetch(URI)
    assert http_server.seen[0][0].startswith("http://")
    assert ways(http_server) == [BOTO3S]
    source.close()
