"""Photos over HTTP, up to the limit and beyond."""

import socket
from collections.abc import Iterator

import httpx
import pytest

from tests.shop import draw, filled_shop, served

LIMIT = 100_000
HEAD = b'--cut\r\nContent-Disposition: form-data; name="file"; filename="a"\r\n\r\n'


@pytest.fixture(scope="module")
def api(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    values = {"api": {"max_upload_bytes": LIMIT}, "images": {"max_pixels": 250_000}}
    folder = tmp_path_factory.mktemp("shop")
    with filled_shop(s3_endpoint, folder, **values) as shop, served(shop) as client:
        yield client


def upload(api: httpx.Client, photo: bytes, **fields: object) -> httpx.Response:
    return api.post("/v1/similar/image", files={"file": ("photo", photo)}, data=fields)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
def test_a_photo_finds_what_it_shows(api: httpx.Client, file_format: str) -> None:
    response = upload(api, draw("tall", "gold", file_format=file_format), limit=2)
    assert response.status_code == 200, response.text
    assert {item["id"] for item in response.json()["items"]} == {"tall-gold-0", "tall-gold-1"}


def test_rules_and_filters_are_form_fields(api: httpx.Client) -> None:
    fields = {"limit": "5", "category": ["shapes/round"], "attr.colour": ["gold", "red"], "in_stock": "true"}
    items = upload(api, draw("tall", "gold"), **fields).json()["items"]
    assert {item["id"] for item in items} == {"round-gold-0", "round-red-0"}


@pytest.mark.parametrize(
    ("fields", "named"),
    [({"colour": "red"}, "colour"), ({"attr.weight": "2"}, "attr.weight"), ({"limit": "0"}, "limit")],
)
def test_a_wrong_field_is_named(api: httpx.Client, fields: dict[str, str], named: str) -> None:
    response = upload(api, draw("tall", "gold"), **fields)
    assert (response.status_code, response.json()["parameter"]) == (400, named)


def test_a_missing_photo_is_named(api: httpx.Client) -> None:
    for response in (
        api.post("/v1/similar/image", data={"limit": "3"}),
        api.post("/v1/similar/image", data={"file": "no file"}),
        api.post("/v1/similar/image"),
    ):
        assert response.status_code == 400
        assert response.headers["content-type"] == "application/problem+json"


@pytest.mark.parametrize("photo", [b"", b"<html></html>", b"\xff\xd8\xff\xe0 cut short"])
def test_what_is_no_image_is_a_422(api: httpx.Client, photo: bytes) -> None:
    response = upload(api, photo)
    assert (response.status_code, response.json()["type"]) == (422, "urn:lookalike:problem:not-an-image")


def test_too_many_pixels_are_a_413(api: httpx.Client) -> None:
    assert upload(api, draw("round", "red", size=501, file_format="PNG")).status_code == 413


def test_a_photo_just_over_the_limit_is_a_413(api: httpx.Client) -> None:
    response = upload(api, b"x" * (LIMIT + 1))
    assert response.status_code == 413
    assert response.headers["content-type"] == "application/problem+json"


def test_a_large_upload_is_refused_by_its_header(api: httpx.Client) -> None:
    assert upload(api, b"x" * (4 * LIMIT)).status_code == 413


def test_an_upload_of_unknown_length_is_refused_before_its_end(api: httpx.Client) -> None:
    """The request never ends, so an answer shows that it was not waited for."""
    with socket.create_connection((api.base_url.host, api.base_url.port or 80), timeout=30) as connection:
        connection.sendall(
            b"POST /v1/similar/image HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: multipart/form-data; boundary=cut\r\n\r\n"
        )
        for piece in (HEAD, *[b"x" * 10_000] * 20):
            connection.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        answer = connection.recv(65536)
    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"application/problem+json" in answer


def _send_for_ever(connection: socket.socket) -> None:
    while True:
        connection.sendall(b"10000\r\n%b\r\n" % (b"x" * 2**16))


@pytest.mark.parametrize("path", ["/v1/similar/image", "/v1/categories"])  # too large, and no such method
def test_an_upload_without_end_is_answered_and_then_cut_off(api: httpx.Client, path: str) -> None:
    with socket.create_connection((api.base_url.host, api.base_url.port or 80), timeout=30) as connection:
        connection.sendall(
            b"POST %b HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n"
            b"Content-Type: multipart/form-data; boundary=cut\r\n\r\n" % path.encode()
        )
        connection.sendall(b"%x\r\n%b\r\n" % (len(HEAD), HEAD))
        with pytest.raises((BrokenPipeError, ConnectionResetError)):
            _send_for_ever(connection)


def test_products_are_mixed_into_a_photo(api: httpx.Client) -> None:
    fields = {"positive": "round-red-0", "negative": ["tall-gold-1"], "limit": "2", "relax": "category"}
    items = upload(api, draw("tall", "gold"), **fields).json()["items"]
    assert "round-red-1" in {item["id"] for item in items}
    assert {item["match"]["asked"] for item in items} <= {None, "round-red-0"}
    wrong = upload(api, draw("tall", "gold"), text="gold")
    assert (wrong.status_code, wrong.json()["type"]) == (422, "urn:lookalike:problem:text-not-supported")
