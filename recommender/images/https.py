"""Images of allow-listed https hosts; httpx's errors are translated here and nowhere else.

Whoever can publish a product can name a URL, so a URL may not reach what only we can reach: hosts
are listed by name, redirects are followed only among them, and a name is resolved once, refused if
any of its addresses is not public, and connected to at the very address that was checked.
"""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpcore
import httpx

from config.settings import ImageSettings
from recommender.errors import (
    ImageNotAllowed,
    ImageNotDecodable,
    ImageNotFound,
    ImageStoreUnavailable,
)
from recommender.images.deadline import DeadlineBackend, deadline
from recommender.images.fetched import Fetched, check_size, read_body

MAX_REDIRECTS = 3
SETTING = "LOOKALIKE_IMAGES__HTTPS_HOSTS"
_PASSING_STATUS = (408, 425, 429)


_IPV6_IN_USE = IPv6Network("2000::/3")
_NAT64 = IPv6Network("64:ff9b::/96")  # RFC 6052


def is_public(address: str) -> bool:
    """Whether an address is one of the open internet's.

    Not private, shared, loopback, link-local or multicast, nor an IPv6 address that leads to such a
    one of IPv4.
    """
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address):
        if parsed.ipv4_mapped:
            parsed = parsed.ipv4_mapped
        elif parsed in _NAT64:
            parsed = IPv4Address(parsed.packed[-4:])
        elif parsed not in _IPV6_IN_USE or parsed.sixtofour or parsed.teredo:
            return False
    return parsed.is_global and not parsed.is_multicast


class _Transport(httpx.HTTPTransport):
    """httpx's own, on connections that keep a deadline; httpx has no setting for them."""

    def __init__(self, tls: ssl.SSLContext, max_connections: int) -> None:
        super().__init__(trust_env=False)
        self._pool = httpcore.ConnectionPool(
            ssl_context=tls,
            max_connections=max_connections,
            keepalive_expiry=5,
            network_backend=DeadlineBackend(),
        )


class HttpsStore:
    """Reads images of the allowed hosts; any thread may call it.

    Args:
        images: the allowed hosts (`host`, or `host:port` where it is not 443) and limits.
        timeout_s: deadline of one connect or read.
        tls: how servers are verified; the usual authorities by default.
        is_allowed_address: which addresses a host may have.
    """

    def __init__(
        self,
        images: ImageSettings,
        timeout_s: float,
        *,
        tls: ssl.SSLContext | None = None,
        is_allowed_address: Callable[[str], bool] = is_public,
    ) -> None:
        self._max_bytes = images.max_bytes
        self._timeout_s = timeout_s
        self._is_allowed_address = is_allowed_address
        self._clients: dict[str, httpx.Client] = {}
        if images.https_hosts:
            verified = tls or httpx.create_ssl_context()
            # A client for each host: requests go to an address, and two hosts may share one address,
            # but must not share a connection that was verified for the other's name.
            self._clients = {
                host.lower(): httpx.Client(
                    transport=_Transport(verified, images.threads), timeout=timeout_s, trust_env=False
                )
                for host in images.https_hosts
            }

    def fetch(self, uri: str, etag: str | None) -> Fetched | None:
        """Read one image; None if it still has this `etag`. Blocks.

        Raises:
            ImageNotAllowed: its host, or one it redirects to, is not listed or not public.
            ImageNotFound: the host has no such image for us.
            ImageNotDecodable: it comes in an encoding that was not asked for.
            ImageTooLarge: it is over the byte limit.
            ImageStoreUnavailable: the host failed; the same request may succeed later.
        """
        with _translated(uri), deadline(self._timeout_s):
            url = httpx.URL(uri)
            for _ in range(MAX_REDIRECTS + 1):
                with self._get(uri, url, etag) as response:
                    if not response.has_redirect_location:
                        return self._read(uri, response, etag)
                    url = url.join(response.headers["Location"])
        raise ImageNotFound(uri, f"more than {MAX_REDIRECTS} redirects")

    def close(self) -> None:
        """Close the pooled connections."""
        for client in self._clients.values():
            client.close()

    @contextmanager
    def _get(self, uri: str, url: httpx.URL, etag: str | None) -> Iterator[httpx.Response]:
        host = url.netloc.decode("ascii")
        if url.scheme != "https" or url.userinfo:
            raise ImageNotAllowed(uri, f"{url.copy_with(userinfo=b'')}: not a plain https:// address")
        if host not in self._clients:
            raise ImageNotAllowed(uri, f"host {host!r} is not in {SETTING}")
        address = self._checked_address(uri, url)
        headers = {"Host": host, "Accept-Encoding": "identity", "Accept": "image/*"}
        if etag is not None:
            headers["If-None-Match"] = etag
        with self._clients[host].stream(
            "GET",
            url.copy_with(host=address),
            headers=headers,
            extensions={"sni_hostname": url.raw_host.decode("ascii")},  # whom the certificate must name
        ) as response:
            yield response

    def _checked_address(self, uri: str, url: httpx.URL) -> str:
        """Resolve the host; all of its addresses must be allowed, the first is taken."""
        try:
            found = socket.getaddrinfo(url.raw_host.decode(), url.port or 443, type=socket.SOCK_STREAM)
        except OSError as error:
            raise ImageStoreUnavailable(f"{uri}: {url.host} can't be resolved: {error}") from error
        addresses = [str(sockaddr[0]) for *_, sockaddr in found]
        for address in addresses:
            if not self._is_allowed_address(address):
                raise ImageNotAllowed(uri, f"{url.host} is at {address}, which is not a public address")
        return addresses[0]

    def _read(self, uri: str, response: httpx.Response, etag: str | None) -> Fetched | None:
        status = response.status_code
        if status == httpx.codes.NOT_MODIFIED and etag is not None:
            return None
        # A 304 that nobody asked for is the host's mistake: taken for an answer, the image would be lost.
        if status >= 500 or status in _PASSING_STATUS or status == httpx.codes.NOT_MODIFIED:
            raise ImageStoreUnavailable(f"{uri}: the host answered {status}")
        if status != httpx.codes.OK:
            raise ImageNotFound(uri, f"the host answered {status}")
        encoding = response.headers.get("Content-Encoding", "identity")
        if encoding != "identity":  # a few bytes of gzip can be gigabytes
            raise ImageNotDecodable(uri, f"the host sent it in the content encoding {encoding!r}")
        announced = response.headers.get("Content-Length", "")
        check_size(uri, int(announced) if announced.isdecimal() else 0, self._max_bytes)
        data = read_body(uri, response.iter_raw(), self._max_bytes)
        return Fetched(data, response.headers.get("ETag"))


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    try:
        yield
    except httpx.InvalidURL as error:
        raise ImageNotFound(uri, f"not a URL: {error}") from error
    except httpx.HTTPError as error:  # timeouts, connections, TLS, short bodies
        raise ImageStoreUnavailable(f"{uri}: {type(error).__name__}: {error}") from error
