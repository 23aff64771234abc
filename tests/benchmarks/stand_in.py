"""A static file server for one folder: `python -m tests.benchmarks.stand_in ROOT PORT LOG`.

GET and HEAD with ETag and If-None-Match over connections that stay open, bodies by sendfile; one thread. The
status of every answer is a line of LOG.
"""

import asyncio
import sys
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

_MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def head_of(request: bytes, root: Path) -> tuple[bytes, Path | None]:
    """The head of the answer to one request, and the file that is its body."""
    lines = request.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ", 2)
    path = (root / unquote(target.partition("?")[0]).lstrip("/")).resolve()
    if not path.is_relative_to(root) or not path.is_file():
        return _MISSING, None
    stat = path.stat()
    etag = f'"{int(stat.st_mtime_ns):x}-{stat.st_size:x}"'
    asked = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines[1:]}
    if asked.get("if-none-match") == etag:
        return f"HTTP/1.1 304 Not Modified\r\nETag: {etag}\r\n\r\n".encode(), None
    head = ("HTTP/1.1 200 OK", "Content-Type: image/jpeg", f"Content-Length: {stat.st_size}", f"ETag: {etag}")
    return "\r\n".join([*head, "", ""]).encode(), path if method == "GET" else None


async def converse(
    root: Path, log: BinaryIO, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
) -> None:
    """Answer one connection until the client ends it."""
    loop = asyncio.get_running_loop()
    try:
        while True:
            head, body = head_of(await reader.readuntil(b"\r\n\r\n"), root)
            log.write(head.split(b" ", 2)[1] + b"\n")
            writer.write(head)
            if body is not None:
                await writer.drain()
                with body.open("rb") as file:
                    await loop.sendfile(writer.transport, file)
    except (asyncio.IncompleteReadError, ConnectionError):
        pass  # the client has what it wanted
    finally:
        writer.close()


async def serve(root: Path, port: int, log: Path) -> None:
    """Serve until cancelled."""
    with log.open("ab", buffering=0) as statuses:
        server = await asyncio.start_server(lambda r, w: converse(root, statuses, r, w), "127.0.0.1", port)
        async with server:
            await server.serve_forever()


if __name__ == "__main__":
    asyncio.run(serve(Path(sys.argv[1]).resolve(), int(sys.argv[2]), Path(sys.argv[3])))
