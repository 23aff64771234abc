"""An object store of the S3 protocol in the harness's own process: it knows who reads the scheduled feed.

Every message is given a feed of its own, with products that no other has; so what was published says from
which reading it came.
"""

import hashlib
import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Lock, Thread
from typing import Any, Self

from tests.chaos.fold import Document
from tests.chaos.pictures import draw
from tests.chaos.triggers.names import FEED_FOR

BUCKET = "shop"
FEED = "feeds/nightly.jsonl"
PRODUCTS = 32
"""In each reading of the feed."""
MODIFIED = "Mon, 01 Jan 2024 00:00:00 GMT"
PAUSE_S = 0.15
"""What each answer about the feed takes, so that kills meet it."""


@dataclass(frozen=True)
class Read:
    """One GET of the scheduled feed. `reading` counts the messages that read it."""

    reading: int
    message: str
    offset: int
    at: float


class Store:
    """Serves as long as its context is open. Any thread may look at what is noted."""

    def __init__(self) -> None:
        self.objects: dict[str, bytes] = {}
        self.reads: list[Read] = []
        self.starting = 0
        """Readings from the start that are under way."""
        self._readings: dict[str, int] = {}
        """By message."""
        self._lock = Lock()
        self._server = _Server(("127.0.0.1", 0), type("Handler", (_Handler,), {"store": self}))
        self._thread = Thread(target=self._server.serve_forever, daemon=True)
        self._image = self.put("feed.jpg", draw(1))

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self._server.server_port}"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def put(self, key: str, data: bytes) -> str:
        """Store an object; returns its URI."""
        uri = f"s3://{BUCKET}/{key}"
        self.objects[uri] = data
        return uri

    def documents(self, reading: int) -> list[Document]:
        """The products of one reading of the feed."""
        return [
            {"id": f"feed-{reading}-{n}", "version": 1, "images": [self._image], "category": "feed"}
            for n in range(PRODUCTS)
        ]

    def answer(
        self, method: str, path: str, headers: Mapping[str, str]
    ) -> tuple[HTTPStatus, dict[str, str], bytes]:
        """Status, headers and body."""
        asked = headers.get("range")
        offset = int(asked.removeprefix("bytes=").rstrip("-")) if asked else 0
        if path == f"/{BUCKET}/{FEED}":
            reading = self._reading_for(headers.get(FEED_FOR, ""))
            if method == "GET":
                self._note(reading, headers.get(FEED_FOR, ""), offset)
            lines = "".join(f"{json.dumps(document)}\n" for document in self.documents(reading))
            data, etag = lines.encode(), f'"{reading}"'
        elif (found := self.objects.get(f"s3:/{path}")) is not None:
            data, etag = found, f'"{hashlib.md5(found, usedforsecurity=False).hexdigest()}"'
        else:
            return HTTPStatus.NOT_FOUND, {}, b"<Error><Code>NoSuchKey</Code></Error>"
        if headers.get("if-none-match") == etag:
            return HTTPStatus.NOT_MODIFIED, {"ETag": etag}, b""
        if asked is None:
            return HTTPStatus.OK, {"ETag": etag, "Last-Modified": MODIFIED}, data
        if offset >= len(data):
            return HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE, {}, b"<Error><Code>InvalidRange</Code></Error>"
        part = f"bytes {offset}-{len(data) - 1}/{len(data)}"
        return HTTPStatus.PARTIAL_CONTENT, {"ETag": etag, "Content-Range": part}, data[offset:]

    def _reading_for(self, message: str) -> int:
        """The same one whenever the message comes again."""
        with self._lock:
            return self._readings.setdefault(message, len(self._readings) + 1)

    def _note(self, reading: int, message: str, offset: int) -> None:
        with self._lock:
            self.starting += not offset
            self.reads.append(Read(reading, message, offset, time.time()))
        time.sleep(PAUSE_S)
        with self._lock:
            self.starting -= not offset


class _Server(ThreadingHTTPServer):
    def handle_error(self, *_: Any) -> None:
        """Nothing to tell where a reader was killed."""
        if not isinstance(sys.exception(), ConnectionError):
            raise  # noqa: PLE0704  # the error that is being handled


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    store: Store

    def do_GET(self) -> None:  # named by its base
        headers = {name.lower(): value for name, value in self.headers.items()}
        status, more, body = self.store.answer(self.command, self.path.partition("?")[0], headers)
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        for name, value in more.items():
            self.send_header(name, value)
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)

    do_HEAD = do_GET  # noqa: N815  # named by its base

    def log_message(self, *_: Any) -> None:
        """It says nothing."""
