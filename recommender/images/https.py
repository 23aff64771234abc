"""Images of allow-listed https hosts; httpx's errors are translated here and nowhere else.

Whoever can publish a product can name a URL, so a URL may not reach what only we can reach: hosts
are listed by name, redirects are followed only among them, and a name is resolved once, refused if
any of its addresses is not public, and connected to at the very address that was checked.
"""

import socket
import ssl
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv6Address, ip_address

import httpx

from config.settings import ImageSettings
from recommender.errors import ImageNotAllowed, ImageNotFound, ImageStoreUnavailable
from recommender.images.fetched import Fetched, check_size, read_body

MAX_REDIRECTS = 3
SETTING = "LOOKALIKE_IMAGES__HTTPS_HOSTS"
_PASSING_STATUS = (408, 425, 429)


def is_public(address: str) -> bool:
    """Whether an address is one of the open internet's: not private, loopback or link-local."""
    parsed = ip_address(address.partition("%")[0])
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped:
        parsed = parsed.ipv4_mapped
    return parsed.is_global and not parsed.is_multicast


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
        hosts = {host.lower() for host in images.https_hosts}
        verify = (tls or httpx.create_ssl_context()) if hosts else False
        # A client for each host: requests go to an address, and two hosts may share one address,
        # but must not share a connection that was verified for the other's name.
        self._clients = {
            host: httpx.Client(
                verify=verify,
                timeout=timeout_s,
                trust_env=False,
                limits=httpx.Limits(max_connections=images.threads),
            )
            for host in hosts
        }

    def fetch(self, uri: str, etag: str | None) -> Fetched | None:
        """Read one image; None if it still has this `etag`. Blocks.

        Raises:
            ImageNotAllowed: its host, or one it redirects to, is not listed or not public.
            ImageNotFound: the host has no such image for us.
            ImageTooLarge: it is over the byte limit.
            ImageStoreUnavailable: the host failed; the same request may succeed later.
        """
        with _translated(uri):
            url = httpx.URL(uri)
            for _ in range(MAX_REDIRECTS + 1):
                with self._get(uri, url, etag) as response:
                    if not response.has_redirect_location:
                        return self._read(uri, response)
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

    def _read(self, uri: str, response: httpx.Response) -> Fetched | None:
        status = response.status_code
        if status == httpx.codes.NOT_MODIFIED:
            return None
        if status >= 500 or status in _PASSING_STATUS:
            raise ImageStoreUnavailable(f"{uri}: the host answered {status}")
        if status != httpx.codes.OK:
            raise ImageNotFound(uri, f"the host answered {status}")
        announced = response.headers.get("Content-Length", "")
        check_size(uri, int(announced) if announced.isdecimal() else 0, self._max_bytes)
        data = read_body(uri, response.iter_bytes(), max_bytes=self._max_bytes, timeout_s=self._timeout_s)
        return Fetched(data, response.headers.get("ETag"))


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    try:
        yield
    except httpx.InvalidURL as error:
        raise ImageNotFound(uri, f"not a URL: {error}") from error
    except httpx.HTTPError as error:  # timeouts, connections, TLS, short bodies
        raise ImageStoreUnavailable(f"{uri}: {type(error).__name__}: {error}") from error
