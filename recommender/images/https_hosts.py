"""GETs of allow-listed https hosts; httpx's errors are translated here and nowhere else.

Whoever can publish a product, or trigger a refresh, can name a URL, so a URL may not reach what only we can
reach: hosts are listed by name, redirects are followed only among them, and a name is resolved once, refused
if any of its addresses is not public, and connected to at the very address that was checked.
"""

import socket
import ssl
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address

import httpcore
import httpx

from recommender.errors import ImageNotAllowed, ImageNotFound, ImageStoreUnavailable
from recommender.images.deadline import DeadlineBackend

MAX_REDIRECTS = 3
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


class HttpsHosts:
    """Connections to the allowed hosts; any thread may use them.

    Args:
        hosts: `host`, or `host:port` where it is not 443.
        setting: names them, for whoever is refused.
        timeout_s: deadline of one connect or read.
        max_connections: to each host.
        tls: how servers are verified; the usual authorities by default.
        is_allowed_address: which addresses a host may have.
    """

    def __init__(
        self,
        hosts: Collection[str],
        setting: str,
        timeout_s: float,
        max_connections: int,
        *,
        tls: ssl.SSLContext | None = None,
        is_allowed_address: Callable[[str], bool] = is_public,
    ) -> None:
        self._setting = setting
        self._is_allowed_address = is_allowed_address
        self._clients: dict[str, httpx.Client] = {}
        if hosts:
            verified = tls or httpx.create_ssl_context()
            # A client for each host: requests go to an address, and two hosts may share one address,
            # but must not share a connection that was verified for the other's name.
            self._clients = {
                host.lower(): httpx.Client(
                    transport=_Transport(verified, max_connections), timeout=timeout_s, trust_env=False
                )
                for host in hosts
            }

    @contextmanager
    def get(
        self, uri: str, headers: Mapping[str, str], prefixes: tuple[str, ...] = ("https://",)
    ) -> Iterator[httpx.Response]:
        """The answer of the host that `uri`, or the last redirect, names; its body is yet to be read. Blocks.

        Args:
            uri: what to get; a redirect may lead on.
            headers: to be sent, beside the usual ones.
            prefixes: one of them begins every URL that is asked for.

        Raises:
            ImageNotAllowed: the host, or one it redirects to, is not listed or not public.
            ImageNotFound: there are too many redirects, or it is no URL.
            ImageStoreUnavailable: the host failed; the same request may succeed later.
        """
        with _translated(uri):
            url = httpx.URL(uri)
            for _ in range(MAX_REDIRECTS + 1):
                with self._get(uri, url, headers, prefixes) as response:
                    if not response.has_redirect_location:
                        yield response
                        return
                    url = url.join(response.headers["Location"])
        raise ImageNotFound(uri, f"more than {MAX_REDIRECTS} redirects")

    def close(self) -> None:
        """Close the pooled connections."""
        for client in self._clients.values():
            client.close()

    @contextmanager
    def _get(
        self, uri: str, url: httpx.URL, headers: Mapping[str, str], prefixes: tuple[str, ...]
    ) -> Iterator[httpx.Response]:
        host = url.netloc.decode("ascii")
        if url.scheme != "https" or url.userinfo:
            raise ImageNotAllowed(uri, f"{url.copy_with(userinfo=b'')}: not a plain https:// address")
        if host not in self._clients:
            raise ImageNotAllowed(uri, f"host {host!r} is not in {self._setting}")
        if not str(url).startswith(prefixes):
            raise ImageNotAllowed(uri, f"{url} is not in {self._setting}")
        address = self._checked_address(uri, url)
        with self._clients[host].stream(
            "GET",
            url.copy_with(host=address),
            headers={"Host": host, "Accept-Encoding": "identity", **headers},
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


def may_pass(status: int) -> bool:
    """Whether another request may be answered otherwise."""
    return status >= 500 or status in _PASSING_STATUS


@contextmanager
def _translated(uri: str) -> Iterator[None]:
    try:
        yield
    except httpx.InvalidURL as error:
        raise ImageNotFound(uri, f"not a URL: {error}") from error
    except httpx.HTTPError as error:  # timeouts, connections, TLS, short bodies
        raise ImageStoreUnavailable(f"{uri}: {type(error).__name__}: {error}") from error
