"""What happens around every request."""

import logging
import time

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from recommender import metrics

log = logging.getLogger(__name__)
_METHODS = {"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"}


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


class Measured:
    """Counts and times every request by its route, and logs those of the API."""

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Pass the request on and take its time."""
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        status, started = 500, time.perf_counter()

        async def noting_the_status(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, noting_the_status)
        finally:
            seconds = time.perf_counter() - started
            route = getattr(scope.get("route"), "path", "none")
            method = scope["method"] if scope["method"] in _METHODS else "other"
            metrics.API_SECONDS.labels(route, method, status).observe(seconds)
            if route.startswith("/v1"):
                fields = {"route": route, "method": method, "status": status, "ms": round(seconds * 1000, 1)}
                log.debug("request_answered", extra=fields)
