"""A small HTTP(S) server on loopback that answers what a test tells it to, faults included."""

import socket
import ssl
import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Event, Thread
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

Answer = Callable[["Handler"], None]


@dataclass
class FaultServer:
    """`answer` is called for every GET, `head` for every HEAD; `seen` keeps path and headers of each GET."""

    port: int
    answer: Answer
    head: Answer
    seen: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    released: Event = field(default_factory=Event)  # ends answers that wait


class Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    state: FaultServer

    def do_GET(self) -> None:
        self.state.seen.append((self.path, {name.lower(): value for name, value in self.headers.items()}))
        self.state.answer(self)

    def do_HEAD(self) -> None:
        self.state.head(self)

    def reply(self, status: int, body: bytes = b"", **headers: str) -> None:
        """Answer in full; `Content_Length` may lie."""
        self.send_response(status)
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        for name, value in {"Content-Length": str(len(body)), **named}.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)
        if int(named.get("Content-Length", len(body))) != len(body):
            self.close_connection = True

    def drip(self, beginning: bytes, drop: bytes = b"x") -> None:
        """Send the beginning, then drop after drop, each within the deadline of one read, for ever."""
        self.wfile.write(beginning)
        while not self.state.released.wait(0.05):
            self.wfile.write(drop)

    def send(self, raw: bytes, *, reset: bool = False) -> None:
        """Send these bytes and hang up, on request without a proper goodbye."""
        self.wfile.write(raw)
        self.close_connection = True
        if reset:
            self.connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            self.connection.close()

    def log_message(self, format: str, *args: Any) -> None:  # noqa: A002  # the signature is inherited
        """Tests are quiet."""


@contextmanager
def serving(tls: ssl.SSLContext | None = None) -> Iterator[FaultServer]:
    handler = type("ThisHandler", (Handler,), {})
    server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
    server.handle_error = lambda *_: None  # type: ignore[method-assign]  # clients hang up on purpose
    if tls is not None:
        server.socket = tls.wrap_socket(server.socket, server_side=True)
    state = FaultServer(server.server_address[1], *[lambda handler: handler.reply(404)] * 2)
    handler.state = state  # type: ignore[attr-defined]
    thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield state
    finally:
        state.released.set()
        server.shutdown()
        thread.join()
        server.server_close()


def certificate(folder: Path, host: str) -> tuple[ssl.SSLContext, ssl.SSLContext]:
    """TLS contexts for a server named `host` and for a client that trusts it."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, host)])
    now = datetime.now(UTC)
    signed = (
        x509.CertificateBuilder()
        .subject_name(name)
        .issuer_name(name)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(host)]), critical=False)
        .sign(key, hashes.SHA256())
    )
    pem = folder / f"{host}.pem"
    pem.write_bytes(
        key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )
        + signed.public_bytes(serialization.Encoding.PEM)
    )
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(pem)
    return server, ssl.create_default_context(cafile=str(pem))


@pytest.fixture
def http_server() -> Iterator[FaultServer]:
    with serving() as server:
        yield server


@pytest.fixture
def https_server(tmp_path: Path) -> Iterator[tuple[FaultServer, ssl.SSLContext]]:
    """A server whose certificate names localhost, and a context that trusts it."""
    server_tls, client_tls = certificate(tmp_path, "localhost")
    with serving(server_tls) as server:
        yield server, client_tls
