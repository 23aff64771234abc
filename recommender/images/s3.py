"""Images in buckets of the S3 protocol; botocore's errors are translated here and nowhere else."""

from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING

import boto3
from botocore.config import Config
from botocore.exceptions import BotoCoreError, ClientError, ParamValidationError
from botocore.parsers import ResponseParserError
from urllib3.exceptions import HTTPError

from config.settings import ImageSettings, S3Settings
from recommender.errors import (
    ImageNotAllowed,
    ImageNotFound,
    ImageStoreUnavailable,
)
from recommender.images.deadline import deadline, keep_deadlines
from recommender.images.fetched import CHUNK_BYTES, Fetched, check_size, read_body
from recommender.images.listing import FOUND, keep_pages_short
from recommender.images.signed_get import SignedGets

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef, GetObjectRequestTypeDef

NOT_MODIFIED = 304

_PASSING_STATUS = (408, 429)

# Codes that come with a 4xx status and yet are no fault of the image's: the store asks for patience,
# our credentials have expired, or endpoint and region are set wrong. So it is with any redirect.
PASSING_CODES = frozenset(
    {
        "AuthorizationHeaderMalformed",
        "ExpiredToken",
        "ExpiredTokenException",
        "IllegalLocationConstraintException",
        "InvalidAccessKeyId",
        "InvalidToken",
        "RequestExpired",
        "RequestLimitExceeded",
        "RequestThrottled",
        "RequestTimeTooSkewed",
        "RequestTimeout",
        "SignatureDoesNotMatch",
        "SlowDown",
        "Throttling",
        "ThrottlingException",
        "TokenRefreshRequired",
        "TooManyRequests",
        "TooManyRequestsException",
    }
)


@dataclass(frozen=True, slots=True)
class Listed:
    """A page of a bucket's keys in their order, each with its ETag as the store writes it."""

    objects: tuple[tuple[str, str], ...]
    more: bool
    """Whether there are keys after the last of these."""


def _client(session: boto3.session.Session, settings: S3Settings, images: ImageSettings) -> "S3Client":
    client: S3Client = session.client(
        "s3",
        endpoint_url=settings.endpoint_url,
        region_name=settings.region,
        config=Config(
            connect_timeout=settings.timeout_s,
            read_timeout=settings.timeout_s,
            # Patience is the worker's: it retries without holding one of these threads.
            retries={"mode": "standard", "total_max_attempts": 2},
            max_pool_connections=images.threads,
            # A store of one's own rarely has a DNS name for each bucket.
            s3={"addressing_style": "path" if settings.endpoint_url else "auto"},
        ),
    )
    keep_deadlines(client)
    return client


class S3Store:
    """Reads objects of the allowed buckets. `client` is any thread's to use."""

    def __init__(self, settings: S3Settings, images: ImageSettings) -> None:
        self._settings = settings
        self._max_bytes = images.max_bytes
        session = boto3.session.Session()
        self.client = _client(session, settings, images)
        self._lister = _client(session, settings, images)  # of its own, since its pages are none for others
        keep_pages_short(self._lister)
        self._short_way = SignedGets(self.client, images.max_bytes)

    def fetch(self, uri: str, etag: str | None) -> Fetched | None:
        """Read one object; None if it still has this `etag`. Blocks.

        Raises:
            ImageNotAllowed: its bucket is not on the allow-list.
            ImageNotFound: no such bucket or key, or access is denied.
            ImageTooLarge: it is over the byte limit.
            ImageStoreUnavailable: the store failed; the same request may succeed later.
        """
        bucket, key = self._place(uri)
        with translated(uri), deadline(self._settings.timeout_s):
            answer = self._short_way.get(uri, bucket, key, etag)
            return self._fetch(uri, bucket, key, etag) if answer is None else answer.fetched

    def list_objects(self, bucket: str, prefix: str, after: str) -> Listed:
        """The next 1,000 keys below a prefix, after that one, by one LIST. Blocks.

        Raises:
            ImageNotAllowed: the bucket is not on the allow-list.
            ImageNotFound: no such bucket, or it may not be listed.
            ImageStoreUnavailable: the store failed; the same request may succeed later.
        """
        uri = f"s3://{bucket}/{prefix}"
        self._check_bucket(uri, bucket)
        with translated(uri), deadline(self._settings.timeout_s):
            page = self._lister.list_objects_v2(Bucket=bucket, Prefix=prefix, StartAfter=after)
        found: tuple[tuple[str, str], ...] = tuple(page.get(FOUND, ()))  # type: ignore[arg-type]  # our own key
        more = page.get("IsTruncated", False)
        if more and (not found or found[-1][0] <= after):
            raise ImageStoreUnavailable(
                f"{uri}: the store lists nothing after {after!r}, and says there is more"
            )
        return Listed(found, more)

    def close(self) -> None:
        """Close the pooled connections."""
        self.client.close()
        self._lister.close()

    def _fetch(self, uri: str, bucket: str, key: str, etag: str | None) -> Fetched | None:
        """Like `fetch`, by boto3, which knows what to do about every answer."""
        try:
            asked: GetObjectRequestTypeDef = {"Bucket": bucket, "Key": key}
            if etag is not None:
                asked["IfNoneMatch"] = etag
            response = self.client.get_object(**asked)
        except ClientError as error:
            if _status(error) != NOT_MODIFIED or etag is None:
                raise
            self._short_way.learn(bucket, key)
            return None
        with closing(response["Body"]) as body:
            size_bytes = _announced_bytes(uri, response)
            check_size(uri, size_bytes, self._max_bytes)
            data = read_body(uri, body.iter_chunks(CHUNK_BYTES), self._max_bytes)
        if size_bytes:
            self._short_way.learn(bucket, key)
        return Fetched(data, response.get("ETag"))

    def _place(self, uri: str) -> tuple[str, str]:
        """The bucket and the key."""
        bucket, _, key = uri.removeprefix("s3://").partition("/")
        self._check_bucket(uri, bucket)
        if not key:
            raise ImageNotFound(uri, "names a bucket, but no key in it")
        return bucket, key

    def _check_bucket(self, uri: str, bucket: str) -> None:
        if bucket not in self._settings.buckets:
            raise ImageNotAllowed(uri, f"bucket {bucket!r} is not in LOOKALIKE_S3__BUCKETS")


def _announced_bytes(uri: str, response: "GetObjectOutputTypeDef") -> int:
    """The length of the body; 0 where it comes in chunks, whose end can be told from a broken connection.

    Raises:
        ImageStoreUnavailable: the body would end whenever the connection does.
    """
    headers = response["ResponseMetadata"]["HTTPHeaders"]
    if "chunked" in headers.get("transfer-encoding", "").lower():
        return 0
    if not headers.get("content-length", "").isdecimal():
        raise ImageStoreUnavailable(f"{uri}: the store announced no length")
    return int(headers["content-length"])


@contextmanager
def translated(uri: str) -> Iterator[None]:
    """Turn what botocore raises inside into an error of ours that names `uri`."""
    try:
        yield
    except ClientError as error:
        raise _as_ours(uri, error) from error
    except ParamValidationError as error:
        raise ImageNotFound(uri, f"not a name that S3 knows: {error}") from error
    except BotoCoreError as error:  # timeouts, connections, short bodies, no credentials
        raise ImageStoreUnavailable(f"{uri}: {error}") from error
    except (HTTPError, ResponseParserError, ValueError) as error:  # from the body of an error, or headers
        raise ImageStoreUnavailable(f"{uri}: the store's answer can't be read: {error}") from error


def _as_ours(uri: str, error: ClientError) -> ImageNotFound | ImageStoreUnavailable:
    said = error.response.get("Error", {})
    code, message, status = said.get("Code", ""), said.get("Message", ""), _status(error)
    reason = f"the store answered {status} {code} {message}".rstrip()
    if status >= 500 or 300 <= status < 400 or status in _PASSING_STATUS or code in PASSING_CODES:
        return ImageStoreUnavailable(f"{uri}: {reason}")
    if status == 403:
        return ImageNotFound(uri, f"access denied: {reason}")
    return ImageNotFound(uri, reason)


def _status(error: ClientError) -> int:
    return error.response.get("ResponseMetadata", {}).get("HTTPStatusCode", 0)
