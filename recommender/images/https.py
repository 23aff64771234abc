"""Images of allow-listed https hosts."""

import ssl
from collections.abc import Callable

import httpx

from config.settings import ImageSettings
from recommender.errors import ImageNotDecodable, ImageNotFound, ImageStoreUnavailable
from recommender.images.deadline import deadline
from recommender.images.fetched import Fetched, check_size, read_body
from recommender.images.https_hosts import HttpsHosts, is_public, may_pass

SETTING = "LOOKALIKE_IMAGES__HTTPS_HOSTS"


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
        self._hosts = HttpsHosts(
            images.https_hosts,
            SETTING,
            timeout_s,
            images.threads,
            tls=tls,
            is_allowed_address=is_allowed_address,
        )

    def fetch(self, uri: str, etag: str | None) -> Fetched | None:
        """Read one image; None if it still has this `etag`. Blocks.

        Raises:
            ImageNotAllowed: its host, or one it redirects to, is not listed or not public.
            ImageNotFound: the host has no such image for us.
            ImageNotDecodable: it comes in an encoding that was not asked for.
            ImageTooLarge: it is over the byte limit.
            ImageStoreUnavailable: the host failed; the same request may succeed later.
        """
        headers = {"Accept": "image/*"}
        if etag is not None:
            headers["If-None-Match"] = etag
        with deadline(self._timeout_s), self._hosts.get(uri, headers) as response:
            return self._read(uri, response, etag)

    def close(self) -> None:
        """Close the pooled connections."""
        self._hosts.close()

    def _read(self, uri: str, response: httpx.Response, etag: str | None) -> Fetched | None:
        status = response.status_code
        if status == httpx.codes.NOT_MODIFIED and etag is not None:
            return None
        # A 304 that nobody asked for is the host's mistake: taken for an answer, the image would be lost.
        if may_pass(status) or status == httpx.codes.NOT_MODIFIED:
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
