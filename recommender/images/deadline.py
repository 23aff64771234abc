"""One deadline for a whole request: a server that sends a byte now and then can't hold a thread for ever.

The timeouts of HTTP clients are those of one connect or read. Here every read of a thread is cut
short by what is left of that thread's deadline: of headers and body, after a redirect or a retry.
"""

import threading
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from http.client import HTTPResponse
from io import BufferedReader, RawIOBase
from socket import socket
from ssl import SSLContext
from time import monotonic
from typing import TYPE_CHECKING, Any

import httpcore
from botocore.awsrequest import (
    AWSHTTPConnection,
    AWSHTTPConnectionPool,
    AWSHTTPSConnection,
    AWSHTTPSConnectionPool,
)

from recommender.images.fetched import READS_PER_IMAGE

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer


class _Deadline(threading.local):
    at: float | None = None


_deadline = _Deadline()


@contextmanager
def deadline(read_timeout_s: float) -> Iterator[None]:
    """All reads of this thread, inside, end `READS_PER_IMAGE` times `read_timeout_s` from now."""
    _deadline.at = monotonic() + READS_PER_IMAGE * read_timeout_s
    try:
        yield
    finally:
        _deadline.at = None


def _left(timeout_s: float | None) -> float | None:
    """What one read may take.

    Raises:
        TimeoutError: nothing is left.
    """
    if _deadline.at is None:
        return timeout_s
    left_s = _deadline.at - monotonic()
    if left_s <= 0:
        raise TimeoutError("still arriving at the deadline of the whole request")
    return left_s if timeout_s is None else min(timeout_s, left_s)


class DeadlineBackend(httpcore.SyncBackend):
    """httpcore's sockets, with the deadline."""

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        """Connect; raises as httpcore does."""
        with _as_httpcore():
            timeout = _left(timeout)
        return _Stream(super().connect_tcp(host, port, timeout, local_address, socket_options))


class _Stream(httpcore.NetworkStream):
    def __init__(self, stream: httpcore.NetworkStream) -> None:
        self._stream = stream

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        with _as_httpcore():
            timeout = _left(timeout)
        return self._stream.read(max_bytes, timeout)

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, timeout)

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        with _as_httpcore():
            timeout = _left(timeout)
        return _Stream(self._stream.start_tls(ssl_context, server_hostname, timeout))

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


@contextmanager
def _as_httpcore() -> Iterator[None]:
    try:
        yield
    except TimeoutError as error:
        raise httpcore.ReadTimeout(str(error)) from error


class _Reader(RawIOBase):
    """What http.client reads a response from."""

    def __init__(self, connection: socket, raw: RawIOBase) -> None:
        self._connection = connection
        self._raw = raw
        self._timeout_s = connection.gettimeout()

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: "WriteableBuffer") -> int | None:
        self._connection.settimeout(_left(self._timeout_s))
        return self._raw.readinto(buffer)

    def close(self) -> None:
        self._raw.close()
        super().close()


class _Response(HTTPResponse):
    def __init__(self, sock: socket, *args: Any, **kwargs: Any) -> None:
        super().__init__(sock, *args, **kwargs)
        self.fp = BufferedReader(_Reader(sock, self.fp.detach()))


class _Connection(AWSHTTPConnection):
    response_class = _Response  # type: ignore[assignment]  # narrower in the stubs than in botocore


class _TlsConnection(AWSHTTPSConnection):
    response_class = _Response  # type: ignore[assignment]  # narrower in the stubs than in botocore


class _Pool(AWSHTTPConnectionPool):
    ConnectionCls = _Connection


class _TlsPool(AWSHTTPSConnectionPool):
    ConnectionCls = _TlsConnection


def keep_deadlines(client: Any) -> None:
    """Let a boto3 client's reads keep the deadline; botocore has no setting for its connections' class."""
    client._endpoint.http_session._pool_classes_by_scheme.update(http=_Pool, https=_TlsPool)  # noqa: SLF001
