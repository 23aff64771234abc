import gzip
import socket
import ssl
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from config.settings import ImageSettings
from recommender.errors import (
    ImageError,
    ImageNotAllowed,
    ImageNotDecodable,
    ImageNotFound,
    ImageStoreUnavailable,
    ImageTooLarge,
)
from recommender.images.https import HttpsStore, is_public


def is_loopback(address: str) -> bool:
    return address in {"127.0.0.1", "::1"}


@pytest.fixture
def stores(https_server: Any) -> Iterator[Callable[..., HttpsStore]]:
    server, tls = https_server
    opened: list[HttpsStore] = []

    def make(hosts: tuple[str, ...] | None = None, **options: Any) -> HttpsStore:
        images = ImageSettings(https_hosts=hosts or (f"localhost:{server.port}",), max_bytes=10_000)
        defaults = {"tls": tls, "is_allowed_address": is_loopback}
        opened.append(HttpsStore(images, 0.5, **{**defaults, **options}))
        return opened[-1]

    yield make
    for store in opened:
        store.close()


@pytest.fixture
def store(stores: Callable[..., HttpsStore]) -> HttpsStore:
    return stores()


@pytest.fixture
def server(https_server: Any) -> Any:
    return https_server[0]


@pytest.fixture
def base(server: Any) -> str:
    return f"https://localhost:{server.port}"


def test_an_image_and_its_etag(store: HttpsStore, server: Any, base: str) -> None:
    server.answer = lambda handler: handler.reply(200, b"pixels", ETag='"v1"')
    fetched = store.fetch(f"{base}/a.jpg?size=big", None)
    assert fetched is not None
    assert (fetched.data, fetched.etag) == (b"pixels", '"v1"')
    path, headers = server.seen[0]
    assert path == "/a.jpg?size=big"
    assert headers["host"] == f"localhost:{server.port}"
    assert "if-none-match" not in headers


def test_an_etag_that_still_holds(store: HttpsStore, server: Any, base: str) -> None:
    server.answer = lambda handler: handler.reply(304)
    assert store.fetch(f"{base}/a.jpg", '"v1"') is None
    assert server.seen[0][1]["if-none-match"] == '"v1"'


def test_unchanged_is_no_answer_to_who_did_not_ask(store: HttpsStore, server: Any, base: str) -> None:
    server.answer = lambda handler: handler.reply(304)
    with pytest.raises(ImageStoreUnavailable, match="304"):
        store.fetch(f"{base}/a.jpg", None)


def test_a_path_that_is_no_ascii(store: HttpsStore, server: Any, base: str) -> None:
    server.answer = lambda handler: handler.reply(200, b"x")
    assert store.fetch(f"{base}/grün stiefel.jpg", None)
    assert server.seen[0][0] == "/gr%C3%BCn%20stiefel.jpg"


@pytest.mark.parametrize(
    ("uri", "said"),
    [
        ("https://evil.example/a.jpg", "'evil.example' is not in LOOKALIKE_IMAGES__HTTPS_HOSTS"),
        ("https://localhost/a.jpg", "'localhost' is not in"),
        ("https://localhost.evil.example/a.jpg", "is not in"),
        ("https://user:secret@localhost/a.jpg", "not a plain https"),
        ("http://localhost/a.jpg", "not a plain https"),
    ],
)
def test_a_host_that_is_not_listed(store: HttpsStore, server: Any, uri: str, said: str) -> None:
    with pytest.raises(ImageNotAllowed, match=said):
        store.fetch(uri, None)
    assert not server.seen


def test_the_password_of_a_url_stays_out_of_the_reason(store: HttpsStore) -> None:
    with pytest.raises(ImageNotAllowed) as raised:
        store.fetch("https://user:secret@localhost/a.jpg", None)
    assert "secret" not in str(raised.value).removeprefix(raised.value.uri)


def test_a_listed_host_at_a_private_address(stores: Any, server: Any, base: str) -> None:
    store = stores(is_allowed_address=is_public)
    with pytest.raises(ImageNotAllowed, match="which is not a public address"):
        store.fetch(f"{base}/a.jpg", None)
    assert not server.seen


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.0.0.8",
        "172.16.3.4",
        "192.168.1.1",
        "169.254.169.254",
        "100.64.0.1",
        "0.0.0.0",  # noqa: S104
        "224.0.0.1",
        "::1",
        "::",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:169.254.169.254",
        "::127.0.0.1",  # IPv4-compatible
        "64:ff9b::127.0.0.1",  # NAT64
        "64:ff9b::a9fe:a9fe",
        "64:ff9b:1::1",
        "2002:7f00:1::",  # 6to4
        "2002:c0a8:101::1",
        "2001:0:a00:1::",  # Teredo
        "2001:db8::1",
        "fec0::1",
        "ff02::1",
        "4000::1",
        "198.18.0.1",
        "240.0.0.1",
        "255.255.255.255",
    ],
)
def test_addresses_that_are_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address",
    [
        "93.184.215.14",
        "2606:2800:21f:cb07:6820:80da:af6b:8b2c",
        "64:ff9b::93.184.215.14",
        "::ffff:93.184.215.14",
    ],
)
def test_addresses_that_are(address: str) -> None:
    assert is_public(address)


def test_a_redirect_within_the_list_is_followed(store: HttpsStore, server: Any, base: str) -> None:
    def answer(handler: Any) -> None:
        if handler.path == "/old.jpg":
            handler.reply(302, Location="/new.jpg")
        else:
            handler.reply(200, b"pixels")

    server.answer = answer
    fetched = store.fetch(f"{base}/old.jpg", None)
    assert fetched is not None
    assert fetched.data == b"pixels"
    assert [path for path, _ in server.seen] == ["/old.jpg", "/new.jpg"]


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("https://evil.example/a.jpg", "'evil.example' is not in LOOKALIKE_IMAGES__HTTPS_HOSTS"),
        ("http://localhost/a.jpg", "not a plain https"),
        ("http://169.254.169.254/latest/meta-data", "not a plain https"),
        ("file:///etc/passwd", "not a plain https"),
    ],
)
def test_a_redirect_off_the_list_is_not(
    store: HttpsStore, server: Any, base: str, location: str, said: str
) -> None:
    server.answer = lambda handler: handler.reply(302, Location=location)
    with pytest.raises(ImageNotAllowed, match=said):
        store.fetch(f"{base}/a.jpg", None)
    assert len(server.seen) == 1


def test_redirects_come_to_an_end(store: HttpsStore, server: Any, base: str) -> None:
    server.answer = lambda handler: handler.reply(302, Location="/again")
    with pytest.raises(ImageNotFound, match="more than 3 redirects"):
        store.fetch(f"{base}/a.jpg", None)
    assert len(server.seen) == 4


@pytest.mark.parametrize("status", [401, 403, 404, 410, 418])
def test_what_will_not_pass(store: HttpsStore, server: Any, base: str, status: int) -> None:
    server.answer = lambda handler: handler.reply(status)
    with pytest.raises(ImageNotFound, match=f"answered {status}"):
        store.fetch(f"{base}/a.jpg", None)


@pytest.mark.parametrize("status", [408, 429, 500, 502, 503])
def test_what_may_pass(store: HttpsStore, server: Any, base: str, status: int) -> None:
    server.answer = lambda handler: handler.reply(status)
    with pytest.raises(ImageStoreUnavailable, match=f"answered {status}"):
        store.fetch(f"{base}/a.jpg", None)


def test_an_announced_size_over_the_limit(store: HttpsStore, server: Any, base: str) -> None:
    server.answer = lambda handler: handler.reply(200, b"", Content_Length="10001")
    with pytest.raises(ImageTooLarge, match="10001 bytes"):
        store.fetch(f"{base}/a.jpg", None)


def test_a_size_that_was_never_announced(store: HttpsStore, server: Any, base: str) -> None:
    def answer(handler: Any) -> None:
        handler.send_response(200)
        handler.send_header("Connection", "close")
        handler.end_headers()
        handler.wfile.write(b"x" * 100_000)
        handler.close_connection = True

    server.answer = answer
    with pytest.raises(ImageTooLarge, match="LOOKALIKE_IMAGES__MAX_BYTES"):
        store.fetch(f"{base}/a.jpg", None)


def test_a_short_body(store: HttpsStore, server: Any, base: str) -> None:
    server.answer = lambda handler: handler.reply(200, b"half", Content_Length="8")
    with pytest.raises(ImageStoreUnavailable, match="RemoteProtocolError"):
        store.fetch(f"{base}/a.jpg", None)


def test_no_answer_in_time(store: HttpsStore, server: Any, base: str) -> None:
    server.answer = lambda _: server.released.wait(30)
    with pytest.raises(ImageStoreUnavailable, match="ReadTimeout"):
        store.fetch(f"{base}/a.jpg", None)


BEGINNING = b"HTTP/1.1 200 OK\r\n"


@pytest.mark.parametrize(
    ("beginning", "drop"),
    [
        (BEGINNING + b"Content-Length: 9999\r\n\r\n", b"x"),
        (BEGINNING + b"Transfer-Encoding: chunked\r\n\r\n", b"1\r\nx\r\n"),
        (BEGINNING + b"Transfer-Encoding: chunked\r\n\r\n", b"0"),
        (BEGINNING + b"Connection: close\r\n\r\n", b"x"),
        (BEGINNING + b"X-Filler: ", b"x"),
        (b"HTTP/1.1 ", b" "),
        (b"HTTP/1.1 302 Found\r\nLocation: /b\r\nX-Filler: ", b"x"),
    ],
    ids=["body", "chunks", "length of a chunk", "no length", "header", "status", "redirect"],
)
def test_an_answer_in_drops_is_given_up(
    store: HttpsStore, server: Any, base: str, beginning: bytes, drop: bytes
) -> None:
    """Each drop comes within the deadline of one read; without one of the whole, this would never end."""
    server.answer = lambda handler: handler.drip(beginning, drop)
    with pytest.raises(ImageStoreUnavailable):
        store.fetch(f"{base}/a.jpg", None)


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"220 mail.example ESMTP\r\n",
        b"\0" * 100,
        BEGINNING,
        BEGINNING + b"Content-Length: 8\r\n\r\nhalf",
        BEGINNING + b"Content-Length: many\r\n\r\npixels",
        BEGINNING + b"Transfer-Encoding: chunked\r\n\r\n8\r\nhalf",
        BEGINNING + b"Transfer-Encoding: chunked\r\n\r\nwhat?\r\n",
        BEGINNING + b"X-Filler: x\r\n" * 100_000 + b"\r\n",
    ],
)
def test_what_is_no_whole_answer(store: HttpsStore, server: Any, base: str, raw: bytes) -> None:
    server.answer = lambda handler: handler.send(raw)
    with pytest.raises(ImageStoreUnavailable):
        store.fetch(f"{base}/a.jpg", None)
    server.answer = lambda handler: handler.reply(200, b"pixels")
    assert store.fetch(f"{base}/a.jpg", None)


def test_a_connection_that_is_reset(store: HttpsStore, server: Any, base: str) -> None:
    half = BEGINNING + b"Content-Length: 8\r\n\r\nhalf"
    server.answer = lambda handler: handler.send(half, reset=True)
    with pytest.raises(ImageStoreUnavailable):
        store.fetch(f"{base}/a.jpg", None)


def test_a_handshake_that_never_ends(stores: Any) -> None:
    with socket.create_server(("127.0.0.1", 0)) as silent:
        port = silent.getsockname()[1]
        with pytest.raises(ImageStoreUnavailable, match="handshake"):
            stores((f"localhost:{port}",)).fetch(f"https://localhost:{port}/a.jpg", None)


@pytest.mark.parametrize("encoding", ["gzip", "deflate", "br", "gzip, identity", "what"])
def test_a_content_encoding_is_not_undone(store: HttpsStore, server: Any, base: str, encoding: str) -> None:
    bomb = gzip.compress(bytes(10**6))
    server.answer = lambda handler: handler.reply(200, bomb, Content_Encoding=encoding)
    with pytest.raises(ImageNotDecodable, match=f"content encoding '{encoding}'"):
        store.fetch(f"{base}/a.jpg", None)
    assert server.seen[0][1]["accept-encoding"] == "identity"


def test_a_redirect_to_a_listed_host_at_a_private_address(stores: Any, server: Any, base: str) -> None:
    """A name may come to lead elsewhere: the address is looked at after every redirect."""
    inside = f"127.0.0.2:{server.port}"
    store = stores((f"localhost:{server.port}", inside))
    server.answer = lambda handler: handler.reply(302, Location=f"https://{inside}/a.jpg")
    with pytest.raises(ImageNotAllowed, match=r"is at 127\.0\.0\.2, which is not a public address"):
        store.fetch(f"{base}/a.jpg", None)
    assert len(server.seen) == 1


def test_a_certificate_of_another_name(stores: Any, server: Any) -> None:
    store = stores((f"127.0.0.1:{server.port}",))
    with pytest.raises(ImageStoreUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        store.fetch(f"https://127.0.0.1:{server.port}/a.jpg", None)


def test_a_certificate_that_nobody_signed(stores: Any, base: str) -> None:
    store = stores(tls=ssl.create_default_context())
    with pytest.raises(ImageStoreUnavailable, match="CERTIFICATE_VERIFY_FAILED"):
        store.fetch(f"{base}/a.jpg", None)


def test_a_host_without_an_address(stores: Any) -> None:
    store = stores(("nowhere.invalid",))
    with pytest.raises(ImageStoreUnavailable, match="can't be resolved"):
        store.fetch("https://nowhere.invalid/a.jpg", None)


@pytest.mark.parametrize(
    "uri", ["https://", "https://[::1/a.jpg", "https://host:port/a", "https://ex\u0378.com/"]
)
def test_what_is_no_url(store: HttpsStore, uri: str) -> None:
    with pytest.raises(ImageError):
        store.fetch(uri, None)
