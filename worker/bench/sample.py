"""The images that are measured: of a folder, of a feed, or the first of the configured buckets."""

import json
from collections.abc import Iterator
from itertools import islice
from pathlib import Path, PurePosixPath

from config.settings import PREFIX, ConfigurationError, Settings
from recommender.errors import FeedError
from recommender.images.s3 import translated
from recommender.images.source import ImageSource

MAX_IMAGES = 512
SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".avif", ".gif"})


def in_folder(folder: Path) -> list[str]:
    """The file:// URIs of a folder's images, those below it too.

    Raises:
        ConfigurationError: it holds none.
    """
    found = (path.resolve().as_uri() for path in sorted(folder.rglob("*")) if _is_image(path.name))
    return _some(found, f"{folder}: no images ({', '.join(sorted(SUFFIXES))}) in this folder")


def in_feed(feed: Path) -> list[str]:
    """The URIs that the documents of a JSON Lines file name.

    Raises:
        FeedError: it can't be read, or a line is no document with images.
        ConfigurationError: it has no lines.
    """
    try:
        with feed.open("rb") as lines:
            return _some(_of_documents(lines, feed), f"{feed}: no products in this feed")
    except OSError as error:
        raise FeedError(f"{feed}: {error.strerror}") from error


def in_buckets(settings: Settings, source: ImageSource) -> list[str]:
    """The first images of the buckets that the settings allow.

    Raises:
        ConfigurationError: they name no bucket, or there is no image in any.
        ImageNotFound: a bucket is not there, or can't be listed.
        ImageStoreUnavailable: the store does not answer.
    """
    if not settings.s3.buckets:
        raise ConfigurationError(
            f"nothing to measure: name images (--images DIR, --feed FILE), or buckets in {PREFIX}S3__BUCKETS"
        )
    names = ", ".join(settings.s3.buckets)
    return _some(_listed(settings.s3.buckets, source), f"no images in the buckets {names}")


def _listed(buckets: tuple[str, ...], source: ImageSource) -> Iterator[str]:
    for bucket in buckets:
        with translated(f"s3://{bucket}"):
            for page in source.s3_client.get_paginator("list_objects_v2").paginate(Bucket=bucket):
                keys = (found["Key"] for found in page.get("Contents", []))
                yield from (f"s3://{bucket}/{key}" for key in keys if _is_image(key))


def _of_documents(lines: Iterator[bytes], feed: Path) -> Iterator[str]:
    for number, line in enumerate(lines, start=1):
        try:
            for image in json.loads(line)["images"]:
                yield image if isinstance(image, str) else image["uri"]
        except (ValueError, KeyError, TypeError) as error:
            raise FeedError(f"{feed} line {number}: no document with images: {error!r}") from error


def _is_image(name: str) -> bool:
    return PurePosixPath(name).suffix.lower() in SUFFIXES


def _some(uris: Iterator[str], none: str) -> list[str]:
    found = list(islice(uris, MAX_IMAGES))
    if not found:
        raise ConfigurationError(none)
    return found
