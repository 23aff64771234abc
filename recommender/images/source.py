"""Where images come from: buckets, https hosts and a local folder, behind one `fetch`."""

from typing import TYPE_CHECKING

from config.settings import ImageSettings, S3Settings
from recommender.errors import ImageNotAllowed
from recommender.images.fetched import Fetched, Store
from recommender.images.https import HttpsStore
from recommender.images.local import LocalStore
from recommender.images.s3 import Listed, S3Store

if TYPE_CHECKING:
    from mypy_boto3_s3.client import S3Client

__all__ = ["Fetched", "ImageSource"]


class ImageSource:
    """Fetches images by URI; thread-safe, one pool of connections for each kind of place."""

    def __init__(self, s3: S3Settings, images: ImageSettings) -> None:
        self._s3 = S3Store(s3, images)
        self._stores: dict[str, Store] = {
            "s3": self._s3,
            "https": HttpsStore(images, s3.timeout_s),
            "file": LocalStore(images),
        }

    def fetch(self, uri: str, *, etag: str | None = None) -> Fetched | None:
        """Read one image; None if it still has this `etag`. Blocks.

        Raises:
            ImageNotAllowed: its scheme, bucket, host or folder is not on the allow-list.
            ImageNotFound: there is no such image, or we may not read it.
            ImageTooLarge: it is over the byte limit.
            ImageStoreUnavailable: its store failed; the same request may succeed later.
        """
        scheme, separator, _ = uri.partition("://")
        if not separator or scheme not in self._stores:
            raise ImageNotAllowed(uri, "must start with s3://, https:// or file://")
        return self._stores[scheme].fetch(uri, etag)

    def list_objects(self, bucket: str, prefix: str, after: str) -> Listed:
        """The next 1,000 keys of a bucket below a prefix, after that one, by one LIST. Blocks.

        Raises:
            ImageNotAllowed: the bucket is not on the allow-list.
            ImageNotFound: no such bucket, or it may not be listed.
            ImageStoreUnavailable: the store failed; the same request may succeed later.
        """
        return self._s3.list_objects(bucket, prefix, after)

    @property
    def s3_client(self) -> "S3Client":
        """The boto3 client of the buckets; any thread may use it."""
        return self._s3.client

    def close(self) -> None:
        """Close every connection."""
        for store in self._stores.values():
            store.close()
