"""Answers that the client has already: ETags of JSON, and 304."""

import re
from hashlib import blake2b

from starlette.types import ASGIApp, Message, Receive, Scope, Send

_CACHING = (b"cache-control", b"private, no-cache")
# What differs between two answers that say the same; with one brace behind it, it is the answer's own.
_TIME_TAKEN = re.compile(rb',"took_ms":[0-9.eE+-]+\}\Z')
_TAG = re.compile(rb'(?:W/)?("[^"]*")')


class Conditional:
    """Gives the API's JSON answers to GET a weak ETag, and answers 304 to a client that has that one.

    It spares the network the body, not us the work: what the tag is of is known once it is done. A
    client may keep an answer but must ask before it shows it again, since prices and stock change.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on, and hold back the head of the answer until its body is known."""
        if scope["type"] != "http" or scope["method"] != "GET" or not scope["path"].startswith("/v1"):
            await self._app(scope, receive, send)
            return
        head: Message | None = None

        async def tagging(message: Message) -> None:
            nonlocal head
            if message["type"] == "http.response.start" and _is_json(message):
                head = message
            elif head is None or message["type"] != "http.response.body":
                await send(message)
            else:
                start, head = head, None
                if not message.get("more_body"):
                    start, message = _tagged(scope, start, message)
                await send(start)
                await send(message)

        await self._app(scope, receive, tagging)


def _is_json(message: Message) -> bool:
    return message["status"] == 200 and (b"content-type", b"application/json") in message["headers"]


def _tagged(scope: Scope, start: Message, body: Message) -> tuple[Message, Message]:
    digest = blake2b(_TIME_TAKEN.sub(b"", body["body"]), digest_size=16).hexdigest()
    tag = f'"{digest}"'.encode()
    own = [(b"etag", b"W/" + tag), _CACHING]
    if _knows(scope, tag):
        kept = [pair for pair in start["headers"] if not pair[0].startswith(b"content-")]
        return {**start, "status": 304, "headers": kept + own}, {**body, "body": b""}
    return {**start, "headers": start["headers"] + own}, body


def _knows(scope: Scope, tag: bytes) -> bool:
    """Whether If-None-Match names the tag, or any (RFC 9110, section 13.1.2)."""
    named = b",".join(value for name, value in scope["headers"] if name == b"if-none-match")
    return named.strip() == b"*" or tag in _TAG.findall(named)
