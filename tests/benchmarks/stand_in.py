"""A static file server for one folder: `python -m tests.benchmarks.stand_in ROOT PORT LOG`.

GET and HEAD with ETag and If-None-Match over connections that stay open, bodies by sendfile, and listings of
a bucket (`list-type=2`); one thread. The status of every answer is a line of LOG.
"""

import asyncio
import sys
from bisect import bisect_left, bisect_right
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO
from urllib.parse import parse_qs, quote, unquote
from xml.sax.saxutils import escape

_MISSING = b"HTTP/1.1 404 Not Found\r\nContent-Length: 0\r\n\r\n"


def head_of(request: bytes, root: Path) -> tuple[bytes, Path | None]:
    """The head of the answer to one request, and the file that is its body."""
    lines = request.decode("latin-1").split("\r\n")
    method, target, _ = lines[0].split(" ", 2)
    where, _, query = target.partition("?")
    path = (root / unquote(where).lstrip("/")).resolve()
    if "list-type=2" in query and path.parent == root and path.is_dir():
        return listing(path, parse_qs(query)), None
    if not path.is_relative_to(root) or not path.is_file():
        return _MISSING, None
    stat, etag = path.stat(), etag_of(path)
    asked = {line.partition(":")[0].lower(): line.partition(":")[2].strip() for line in lines[1:]}
    if asked.get("if-none-match") == etag:
        return f"HTTP/1.1 304 Not Modified\r\nETag: {etag}\r\n\r\n".encode(), None
    head = ("HTTP/1.1 200 OK", "Content-Type: image/jpeg", f"Content-Length: {stat.st_size}", f"ETag: {etag}")
    return "\r\n".join([*head, "", ""]).encode(), path if method == "GET" else None


def etag_of(path: Path) -> str:
    """Made of its time and size."""
    found = path.stat()
    return f'"{int(found.st_mtime_ns):x}-{found.st_size:x}"'


def listing(bucket: Path, asked: dict[str, list[str]]) -> bytes:
    """The answer to ListObjectsV2: the next 1,000 keys; none may come or go after the first listing."""
    prefix, after = (asked.get(name, [""])[0] for name in ("prefix", "start-after"))
    keys = keys_of(bucket)
    start = max(bisect_left(keys, prefix), bisect_right(keys, after))
    page = [key for key in keys[start : start + 1000] if key.startswith(prefix)]
    more = len(page) == 1000 and start + 1000 < len(keys) and keys[start + 1000].startswith(prefix)
    objects = "".join(
        f"<Contents><Key>{quote(key)}</Key><LastModified>2026-01-01T00:00:00.000Z</LastModified>"
        f"<ETag>{escape(etag_of(bucket / key))}</ETag><Size>1</Size></Contents>"
        for key in page
    )
    body = (
        '<?xml version="1.0"?><ListBucketResult xmlns="http://s3.amazonaws.com/doc/2006-03-01/">'
        f"<EncodingType>url</EncodingType><IsTruncated>{str(more).lower()}</IsTruncated>"
        f"{objects}</ListBucketResult>"
    ).encode()
    head = ("HTTP/1.1 200 OK", "Content-Type: application/xml", f"Content-Length: {len(body)}", "", "")
    return "\r\n".join(head).encode() + body


@lru_cache
def keys_of(bucket: Path) -> list[str]:
    """In the order of S3."""
    paths = (path.relative_to(bucket).as_posix() for path in bucket.rglob("*") if path.is_file())
    return sorted(paths, key=str.encode)


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
