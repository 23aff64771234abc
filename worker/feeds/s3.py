"""Feeds in buckets: one object, one version of it, or the parts below a prefix."""

from collections.abc import Generator, Iterator
from contextlib import closing, contextmanager
from typing import TYPE_CHECKING, Any

from botocore.exceptions import ClientError

from config.settings import S3Settings
from recommender.errors import FeedChanged, FeedError, ImageError, ImageStoreUnavailable
from recommender.images.deadline import deadline
from recommender.images.s3 import translated
from worker.feeds.store import CHUNK_BYTES, Part, in_order, is_data

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client
    from mypy_boto3_s3.type_defs import GetObjectOutputTypeDef

VERSION_ID = "?versionId="
_GONE = frozenset({404, 412})
"""The answers to a GET of what was just listed: it is no longer there, or no longer the same."""


class S3Feed:
    """An object (`s3://bucket/key`, with `?versionId=` one of its versions) or what lies below a prefix.

    Args:
        uri: that of a prefix ends in a slash.
        settings: the buckets that may be read.
        client: any thread may use it; stays open.

    Raises:
        FeedError: the bucket is not on the allow-list.
    """

    def __init__(self, uri: str, settings: S3Settings, client: "S3Client") -> None:
        self._uri = uri
        self._client = client
        self._timeout_s = settings.timeout_s
        named, _, self._version = uri.partition(VERSION_ID)
        self._bucket, _, self._key = named.removeprefix("s3://").partition("/")
        if self._bucket not in settings.buckets:
            raise FeedError(f"{uri}: bucket {self._bucket!r} is not in LOOKALIKE_S3__BUCKETS")

    def parts(self) -> list[Part]:
        """One HEAD, or one LIST for each 1,000 keys."""
        with self._errors(self._uri):
            if self._version or (self._key and not self._key.endswith("/")):
                return [self._object()]
            return in_order(self._uri, self._listed())

    def stream(self, part: Part, start: int) -> Generator[bytes, None, None]:
        """One GET on the condition that it is the object that was listed."""
        if start == part.size_bytes:
            return  # S3 knows no range of no bytes
        with closing(self._get(part, f"bytes={start}-")["Body"]) as body:
            chunks = body.iter_chunks(CHUNK_BYTES)
            while True:
                with self._errors(part.uri):
                    chunk = next(chunks, None)
                if chunk is None:
                    return
                yield chunk

    def read_at(self, part: Part, start: int, length: int) -> bytes:
        """One GET."""
        body = self._get(part, f"bytes={start}-{start + length - 1}")["Body"]
        with closing(body), self._errors(part.uri):
            data: bytes = body.read()
        if len(data) != length:
            raise ImageStoreUnavailable(f"{part.uri}: asked for {length} bytes, the store sent {len(data)}")
        return data

    def close(self) -> None:
        """The client stays open."""

    def _object(self) -> Part:
        found = self._client.head_object(**self._named(self._key))
        modified_ms = int(found["LastModified"].timestamp() * 1000)
        return Part("", self._uri, found["ETag"], found["ContentLength"], modified_ms)

    def _listed(self) -> Iterator[Part]:
        pages = self._client.get_paginator("list_objects_v2").paginate(Bucket=self._bucket, Prefix=self._key)
        for page in pages:
            for found in page.get("Contents", ()):
                name = found["Key"].removeprefix(self._key)
                if is_data(name):
                    modified_ms = int(found["LastModified"].timestamp() * 1000)
                    yield Part(name, self._uri + name, found["ETag"], found["Size"], modified_ms)

    def _named(self, key: str) -> dict[str, Any]:
        version = {"VersionId": self._version} if self._version else {}
        return {"Bucket": self._bucket, "Key": key, **version}

    def _get(self, part: Part, asked: str) -> "GetObjectOutputTypeDef":
        with self._errors(part.uri):
            try:
                response = self._client.get_object(
                    **self._named(self._key + part.name),
                    IfMatch=part.etag,
                    Range=asked,
                )
            except ClientError as error:
                if error.response.get("ResponseMetadata", {}).get("HTTPStatusCode") in _GONE:
                    raise FeedChanged(f"{part.uri}: it is gone, or another, since it was listed") from error
                raise
        if response.get("ETag") != part.etag:
            response["Body"].close()
            raise FeedChanged(f"{part.uri}: the store gave another state of it than was asked for")
        _check_range(part, asked, response)
        return response

    @contextmanager
    def _errors(self, uri: str) -> Iterator[None]:
        try:
            with translated(uri), deadline(self._timeout_s):
                yield
        except ImageError as error:
            raise FeedError(str(error)) from error


def _check_range(part: Part, asked: str, response: "GetObjectOutputTypeDef") -> None:
    """A store may ignore what it is asked for; a body's length is what tells a whole one from a broken one.

    Raises:
        ImageStoreUnavailable: it begins elsewhere, or nothing says where it ends.
    """
    begins = asked.partition("-")[0].replace("=", " ") + "-"
    if response.get("ContentRange", "").startswith(begins) and "ContentLength" in response:
        return
    response["Body"].close()
    raise ImageStoreUnavailable(f"{part.uri}: asked for {asked}, the store answered with something else")
