"""What happens around every request, whoever asks and whatever comes of it."""

import logging
import re
import time
from collections.abc import Mapping
from secrets import token_hex

from starlette.datastructures import MutableHeaders
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from config.logging import REQUEST_ID
from recommender import metrics
from recommender.api.problems import problem

log = logging.getLogger(__name__)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}
_SANE_ID = re.compile(rb"[A-Za-z0-9._~+/=:-]{1,128}")


class RawPath:
    """Lets the router match the path as it was sent, still percent-encoded.

    Decoded first, an id with a slash in it (`%2F`) would look like several segments, and the product
    `boots/similar` like a question about `boots`.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on with its path as it was sent."""
        if scope["type"] == "http":
            scope["path"] = scope["raw_path"].decode("ascii", "replace")
        await self._app(scope, receive, send)


class Observed:
    """Gives every request an id, counts and times it by its route, and logs those of the API.

    The id is the one of X-Request-ID, where that is sane; answer, problem and log lines carry it.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and take its time: until its answer is sent, not until its work ends."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        request_id = _request_id(scope)
        REQUEST_ID.set(request_id)
        status, started, is_seen = 500, time.perf_counter(), False

        def see() -> None:
            nonlocal is_seen
            if not is_seen:
                is_seen = True
                _observe(scope, status, time.perf_counter() - started)

        async def noting_the_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
                message["headers"] = [*message["headers"], (b"x-request-id", request_id.encode())]
            await send(message)
            if message["type"] == "http.response.body" and not message.get("more_body"):
                see()

        try:
            await self._app(scope, receive, noting_the_status)
        finally:
            see()


class Answered:
    """Turns what nobody foresaw into a problem 500, and into a log line that has the traceback."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on.

        Raises:
            Exception: it came when the answer had begun; the connection must be closed.
        """
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        has_begun = False

        async def noting_the_start(message: Message) -> None:
            nonlocal has_begun
            has_begun = True
            await send(message)

        try:
            await self._app(scope, receive, noting_the_start)
        except Exception as error:
            log.exception("request_failed", extra={"path": scope["path"], "error": type(error).__name__})
            if has_begun:
                raise
            answer = problem(500, "the server made a mistake; its log has the details")
            await answer(scope, receive, send)


def with_headers(send: Send, headers: Mapping[str, str]) -> Send:
    """A `send` that adds headers to the answer."""

    async def adding(message: Message) -> None:
        if message["type"] == "http.response.start":
            MutableHeaders(scope=message).update(headers)
        await send(message)

    return adding


def _request_id(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"x-request-id" and _SANE_ID.fullmatch(value):
            sent: bytes = value
            return sent.decode()
    return token_hex(8)


def _observe(scope: Scope, status: int, seconds: float) -> None:
    route = getattr(scope.get("route"), "path", "none")
    method = scope["method"] if scope["method"] in _METHODS else "other"
    metrics.API_SECONDS.labels(route, method, status).observe(seconds)
    if route.startswith("/v1"):
        fields = {"route": route, "method": method, "status": status, "ms": round(seconds * 1000, 1)}
        log.debug("request_answered", extra=fields)
