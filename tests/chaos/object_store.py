"""A small object store of the S3 protocol, in a process of its own: GET, HEAD and PUT by path, and faults.

`python -m tests.chaos.object_store` prints its port and serves until its parent closes its input.
"""

import asyncio
import hashlib
import random
import subprocess
import sys
from dataclasses import dataclass, field
from http import HTTPStatus
from http.client import HTTPConnection

FAULTS = "/faults"
"""PUT here the share of GETs that fail (0 to 1): half of them by a 503, half by a body that ends too soon."""


@dataclass
class Shelf:
    """What is stored, and how much of it goes wrong."""

    objects: dict[str, tuple[bytes, str]] = field(default_factory=dict)
    failing: float = 0.0

    def answer(self, method: str, path: str, headers: dict[str, str], body: bytes) -> tuple[bytes, bool]:
        """The bytes of the answer, and whether the connection stays open."""
        if method == "PUT":
            return self._put(path, body), True
        found = self.objects.get(path)
        if found is None:
            return _response(HTTPStatus.NOT_FOUND, b"<Error><Code>NoSuchKey</Code></Error>"), True
        data, etag = found
        if random.random() < self.failing:
            if random.random() < 0.5:
                return _response(
                    HTTPStatus.SERVICE_UNAVAILABLE, b"<Error><Code>SlowDown</Code></Error>"
                ), True
            return _response(HTTPStatus.OK, data, etag)[: -len(data) // 2], False
        if headers.get("if-none-match") == etag:
            return _response(HTTPStatus.NOT_MODIFIED, b"", etag), True
        answer = _response(HTTPStatus.OK, data, etag)
        return (answer[: len(answer) - len(data)] if method == "HEAD" else answer), True

    def _put(self, path: str, body: bytes) -> bytes:
        if path == FAULTS:
            self.failing = float(body)
        else:
            self.objects[path] = (body, f'"{hashlib.md5(body, usedforsecurity=False).hexdigest()}"')
        return _response(HTTPStatus.OK, b"")


def _response(status: HTTPStatus, body: bytes, etag: str = "") -> bytes:
    lines = [f"HTTP/1.1 {status.value} {status.phrase}", "Content-Type: application/octet-stream"]
    if status != HTTPStatus.NOT_MODIFIED:
        lines.append(f"Content-Length: {len(body)}")
    if etag:
        lines.append(f"ETag: {etag}")
    return "\r\n".join([*lines, "", ""]).encode() + body


async def _converse(shelf: Shelf, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
    stays = True
    try:
        while stays:
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1").split("\r\n")
            method, target, _ = head[0].split(" ", 2)
            pairs = (line.split(":", 1) for line in head[1:] if line)
            headers = {name.lower(): value.strip() for name, value in pairs}
            body = await reader.readexactly(int(headers.get("content-length", 0)))
            answer, stays = shelf.answer(method, target.partition("?")[0], headers, body)
            writer.write(answer)
            await writer.drain()
    except (asyncio.IncompleteReadError, ConnectionError, asyncio.CancelledError):
        pass  # the client has what it wanted, or the harness is done
    finally:
        writer.close()


async def _serve() -> None:
    shelf = Shelf()
    server = await asyncio.start_server(lambda r, w: _converse(shelf, r, w), "127.0.0.1", 0)
    print(server.sockets[0].getsockname()[1], flush=True)
    async with server:
        await asyncio.to_thread(sys.stdin.read)


class ObjectStore:
    """The process, and what the harness does with it."""

    BUCKET = "shop"

    def __init__(self) -> None:
        command = [sys.executable, "-m", "tests.chaos.object_store"]
        self._process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        assert self._process.stdout is not None
        self._host = f"127.0.0.1:{int(self._process.stdout.readline())}"
        self.objects: dict[str, bytes] = {}
        """What was stored, by URI."""

    @property
    def url(self) -> str:
        return f"http://{self._host}"

    def put(self, key: str, data: bytes) -> str:
        """Store an object; returns its URI."""
        self._send(f"/{self.BUCKET}/{key}", data)
        uri = f"s3://{self.BUCKET}/{key}"
        self.objects[uri] = data
        return uri

    def fail(self, share: float) -> None:
        """Let this share of the reads go wrong from now on."""
        self._send(FAULTS, str(share).encode())

    def close(self) -> None:
        """End the process."""
        self._process.communicate()

    def _send(self, path: str, data: bytes) -> None:
        connection = HTTPConnection(self._host, timeout=10)
        try:
            connection.request("PUT", path, data)
            response = connection.getresponse()
            response.read()
            assert response.status == HTTPStatus.OK, response.status
        finally:
            connection.close()


if __name__ == "__main__":
    asyncio.run(_serve())
