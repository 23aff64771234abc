"""What becomes of a request's body when the answer came before its end."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_LINGER_S = 2.0


class Lingering:
    """Cuts off an upload that is already answered, as by a 401, a 413 or a 429.

    Closed at once, the client might find a broken connection in place of the answer; read to its end, an
    upload without end would keep us busy. So the answer is sent, the body is read for two seconds
    more, and then the connection is closed.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on."""
        if scope["type"] != "http" or not _has_body(scope):
            await self._app(scope, receive, send)
            return
        more_comes = True

        async def noting_the_end() -> Message:
            nonlocal more_comes
            message = await receive()
            more_comes = message["type"] == "http.request" and message.get("more_body", False)
            return message

        async def lingering(message: Message) -> None:
            if not more_comes:
                await send(message)
            elif message["type"] == "http.response.start":
                await send({**message, "headers": [*message["headers"], (b"connection", b"close")]})
            elif message.get("more_body"):
                await send(message)
            else:
                await send({**message, "more_body": True})
                await _read_on(receive)
                await send({"type": "http.response.body", "body": b""})

        await self._app(scope, noting_the_end, lingering)


def _has_body(scope: Scope) -> bool:
    return any(
        name == b"transfer-encoding" or (name == b"content-length" and value != b"0")
        for name, value in scope["headers"]
    )


async def _read_on(receive: Receive) -> None:
    try:
        async with asyncio.timeout(_LINGER_S):
            while (await receive()).get("more_body"):
                pass
    except TimeoutError:
        return
