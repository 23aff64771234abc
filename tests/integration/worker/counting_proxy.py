"""An HTTP proxy in front of an object store that writes down what it was asked."""

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from urllib.parse import urlsplit

import httpx


@dataclass
class CountingProxy:
    """`seen` holds method and target of every request since it was cleared."""

    upstream: str
    url: str = ""
    seen: list[tuple[str, str]] = field(default_factory=list)

    def reads(self, prefix: str) -> list[tuple[str, str]]:
        """The GETs and HEADs of objects whose path starts so; listings are of the bucket itself."""
        return [
            (method, target)
            for method, target in self.seen
            if method in ("GET", "HEAD") and urlsplit(target).path.startswith(prefix)
        ]

    def listings(self) -> int:
        return sum("list-type=2" in target for _, target in self.seen)


@contextmanager
def counting_proxy(upstream: str) -> Iterator[CountingProxy]:
    state = CountingProxy(upstream)

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def forward(self) -> None:
            state.seen.append((self.command, self.path))
            headers = {n: v for n, v in self.headers.items() if n.lower() not in ("host", "connection")}
            with client.stream(self.command, upstream + self.path, headers=headers) as answer:
                body = b"".join(answer.iter_raw())
            self.send_response(answer.status_code)
            for name, value in answer.headers.items():
                if name.lower() not in ("content-length", "connection", "transfer-encoding"):
                    self.send_header(name, value)
            if answer.status_code != 304:
                self.send_header("Content-Length", answer.headers.get("content-length", str(len(body))))
            self.end_headers()
            self.wfile.write(body)

        do_GET = do_HEAD = forward  # noqa: N815  # its base calls them so

        def log_message(self, *_: object) -> None:
            """Its log is `seen`."""

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    state.url = f"http://127.0.0.1:{server.server_address[1]}"
    try:
        with httpx.Client(trust_env=False) as client:
            yield state
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
