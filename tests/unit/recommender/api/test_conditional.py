import asyncio
from typing import Any

import pytest

from recommender.api.conditional import Conditional


def answered(*pieces: bytes, media_type: bytes = b"application/json", known: bytes = b"") -> list[Any]:
    """What is sent to a client when the app answers the pieces."""
    sent: list[Any] = []

    async def app(_scope: Any, _receive: Any, send: Any) -> None:
        headers = [(b"content-type", media_type), (b"content-length", b"7"), (b"x-own", b"kept")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        for n, piece in enumerate(pieces, 1):
            await send({"type": "http.response.body", "body": piece, "more_body": n < len(pieces)})

    async def send(message: Any) -> None:
        sent.append(message)

    async def receive() -> Any:
        raise AssertionError("nothing is read")

    scope = {"type": "http", "method": "GET", "path": "/v1/x", "headers": [(b"if-none-match", known)]}
    asyncio.run(Conditional(app)(scope, receive, send))
    return sent


def tag(body: bytes) -> bytes:
    return dict(answered(body)[0]["headers"])[b"etag"]


def test_the_time_taken_is_no_part_of_what_is_said() -> None:
    assert tag(b'{"items":[],"took_ms":1.25}') == tag(b'{"items":[],"took_ms":9e-05}')
    assert tag(b'{"items":[],"took_ms":1.25}') != tag(b'{"items":[1],"took_ms":1.25}')


@pytest.mark.parametrize(
    "body",
    [
        b'{"attributes":{"size":1,"took_ms":%d}}',
        b'[{"size":1,"took_ms":%d}]',
        b'{"title":"x,\\"took_ms\\":%d}"}',
        b'{"size":1,"took_ms":%d,"more":1}',
    ],
)
def test_another_field_of_that_name_is(body: bytes) -> None:
    assert tag(body % 1) != tag(body % 2)


def test_a_known_answer_is_not_sent() -> None:
    body = b'{"items":[],"took_ms":1.25}'
    start, rest = answered(body, known=tag(body))
    assert (start["status"], rest["body"]) == (304, b"")
    assert {name for name, _ in start["headers"]} == {b"x-own", b"etag", b"cache-control"}


@pytest.mark.parametrize(
    ("pieces", "media_type"), [((b"{", b"}"), b"application/json"), ((b"{}",), b"image/jpeg")]
)
def test_what_is_streamed_or_no_json_is_passed_on(pieces: tuple[bytes, ...], media_type: bytes) -> None:
    start, *rest = answered(*pieces, media_type=media_type, known=b"*")
    assert start["status"] == 200
    assert b"etag" not in dict(start["headers"])
    assert [message["body"] for message in rest] == list(pieces)
