"""GETs of objects as boto3 sends them, without its client: a fraction of the work.

Where a bucket is and how it is signed for is read off a request of boto3's own. The signer, the credentials
and the connections are botocore's too. Whatever is not plain success is left for boto3 to ask again.
"""

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

from botocore.awsrequest import AWSPreparedRequest, AWSRequest
from botocore.utils import percent_encode
from urllib3 import BaseHTTPResponse, HTTPConnectionPool
from urllib3.exceptions import HTTPError

from recommender.images.fetched import Fetched, check_size

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

_OK, _NOT_MODIFIED = 200, 304
_OF_ONE_OBJECT = frozenset({403, 404})
"""What is amiss with one object says nothing of the way to the others."""
_ALGORITHM = "AWS4-HMAC-SHA256 Credential="
_SAFE = "/~"  # what botocore leaves as it is in a key


@dataclass(frozen=True, slots=True)
class Answer:
    """What the store said; None if the object still has the ETag."""

    fetched: Fetched | None


@dataclass(frozen=True, slots=True)
class _Bucket:
    origin: str  # scheme, host and port
    path: str  # what comes before a key
    region: str
    service: str
    pool: HTTPConnectionPool


class SignedGets:
    """The short way to the buckets of a boto3 client. Any thread."""

    def __init__(self, client: "S3Client", max_bytes: int) -> None:
        self._max_bytes = max_bytes
        self._user_agent: str = client.meta.config.user_agent  # type: ignore[attr-defined]  # not in the stubs
        # botocore has no public name for these.
        self._signer: Any = client._request_signer  # type: ignore[attr-defined]  # noqa: SLF001
        self._session: Any = client._endpoint.http_session  # type: ignore[attr-defined]  # noqa: SLF001
        self._buckets: dict[str, _Bucket] = {}
        self._sent = threading.local()
        client.meta.events.register("before-send.s3.GetObject", self._see)

    def get(self, uri: str, bucket: str, key: str, etag: str | None) -> Answer | None:
        """Read an object, unless it still has this `etag`; None if boto3 must be asked. Blocks.

        Raises:
            ImageTooLarge: it is over the byte limit.
            BotoCoreError: there are no credentials.
        """
        place = self._buckets.get(bucket)
        if place is None:
            return None
        path = place.path + percent_encode(key, safe=_SAFE)
        try:
            response = place.pool.urlopen(
                "GET",
                path,
                headers=self._signed_headers(place, path, etag),
                redirect=False,
                retries=False,
                preload_content=False,
                decode_content=False,
            )
            if answer := self._read(uri, response, etag):
                return answer
            holds = response.status in _OF_ONE_OBJECT
        except HTTPError:
            holds = False
        if not holds:
            self._buckets.pop(bucket, None)
        return None

    def learn(self, bucket: str, key: str) -> None:
        """Take the short way to `bucket` from now on, if this thread's last request, of `key`, shows one."""
        place = self._place_of(self._sent.request, key)
        if place is not None:
            self._buckets[bucket] = place

    def _see(self, request: AWSPreparedRequest, **_: object) -> None:
        self._sent.request = request

    def _place_of(self, request: AWSPreparedRequest, key: str) -> _Bucket | None:
        authorization = _text(request.headers.get("Authorization", ""))
        suffix = percent_encode(key, safe=_SAFE)
        plain = authorization.startswith(_ALGORITHM) and "x-amz-s3session-token" not in request.headers
        if not plain or not request.url.endswith(f"/{suffix}"):
            return None
        if self._session._proxy_config.proxy_url_for(request.url) is not None:  # noqa: SLF001
            return None
        # Credential=ID/DATE/REGION/SERVICE/aws4_request, ... (AWS Signature Version 4)
        *_, region, service, _ = authorization.removeprefix(_ALGORITHM).partition(",")[0].split("/")
        url = urlsplit(request.url)
        return _Bucket(
            origin=f"{url.scheme}://{url.netloc}",
            path=url.path.removesuffix(suffix),
            region=region,
            service=service,
            pool=self._session._manager.connection_from_url(request.url),  # noqa: SLF001
        )

    def _signed_headers(self, place: _Bucket, path: str, etag: str | None) -> dict[str, str]:
        headers = {"User-Agent": self._user_agent}
        if etag is not None:
            headers["If-None-Match"] = etag
        request = AWSRequest("GET", place.origin + path, headers=headers)
        # With the credentials of this moment: it renews those that expire.
        self._signer.get_auth_instance(place.service, place.region, "s3v4").add_auth(request)
        return dict(request.headers.items())

    def _read(self, uri: str, response: BaseHTTPResponse, etag: str | None) -> Answer | None:
        length = response.headers.get("Content-Length", "")
        try:
            if response.status == _NOT_MODIFIED and etag is not None:
                response.read()
                return Answer(None)
            if response.status != _OK or not length.isdecimal() or response.chunked:
                return None
            check_size(uri, int(length), self._max_bytes)
            return Answer(Fetched(response.read(), response.headers.get("ETag")))
        finally:
            response.close()  # what was read to its end has given its connection back already
            response.release_conn()


def _text(value: str | bytes) -> str:
    return value.decode("latin-1") if isinstance(value, bytes) else value
