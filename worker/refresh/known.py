"""What the index knew when a refresh looked: a few bytes a product, found again by the hash of its id.

Nothing refers to a place in these arrays, so that parts may be noted twice, in any order: 24 bytes a product,
25 an image, as hashes of 64 bits. Two of ten million ids share one with a chance of 3 in a million.
"""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Self

import numpy as np
from numpy.typing import NDArray

from recommender.index.protocol import CensusEntry
from recommender.index.schema import LIVE
from worker.hashes import Hashes, hashes, plain_etag

Flags = NDArray[np.bool_]
"""(N,) bool, one a known product or image."""

PRODUCT = np.dtype([("id", "<u8"), ("digest", "<u8"), ("version", "<i8")])
"""A point; the digest is 0 where there is no document: a tombstone or a stub."""
IMAGE = np.dtype([("product", "<u8"), ("uri", "<u8"), ("etag", "<u8"), ("kind", "u1")])
LISTED = np.dtype([("uri", "<u8"), ("etag", "<u8")])
"""An object that a bucket has."""
EMBEDDED, IN_S3 = 1, 2
"""Bits of an image's kind: it has a row; its URI is s3://."""


def digests(texts: Iterable[str]) -> Hashes:
    """The 16 hex digits that `digest_of` gives as numbers; 0 for an empty text."""
    return np.array([int(text or "0", 16) for text in texts], np.uint64)


def products_of(entries: Sequence[CensusEntry]) -> bytes:
    """A page of a census, as rows of `PRODUCT`."""
    rows = np.empty(len(entries), PRODUCT)
    rows["id"] = hashes(entry.id for entry in entries)
    rows["digest"] = digests(entry.digest if entry.status in LIVE else "" for entry in entries)
    rows["version"] = [entry.version for entry in entries]
    return rows.tobytes()


def images_of(entries: Sequence[CensusEntry]) -> bytes:
    """The images of a page's live products, as rows of `IMAGE`."""
    live = [entry for entry in entries if entry.status in LIVE]
    images = [image for entry in live for image in entry.images]
    rows = np.empty(len(images), IMAGE)
    rows["product"] = np.repeat(hashes(entry.id for entry in live), [len(entry.images) for entry in live])
    rows["uri"] = hashes(image.uri for image in images)
    rows["etag"] = hashes(plain_etag(image.etag) for image in images)
    rows["kind"] = [
        (EMBEDDED if image.row is not None else 0) | (IN_S3 if image.uri.startswith("s3://") else 0)
        for image in images
    ]
    return rows.tobytes()


@dataclass(frozen=True, eq=False)
class Known:
    """All pages of a census; sorted, so that hashes are found by bisection."""

    products: NDArray[np.void]  # (N,) PRODUCT, each id once, ascending
    images: NDArray[np.void]  # (M,) IMAGE

    @classmethod
    def of(cls, products: Iterable[bytes], images: Iterable[bytes]) -> Self:
        """Read what `products_of` and `images_of` gave."""
        found = np.frombuffer(b"".join(products), PRODUCT)
        _, first = np.unique(found["id"], return_index=True)
        return cls(found[first], np.frombuffer(b"".join(images), IMAGE))

    def rows(self, ids: Hashes) -> NDArray[np.intp]:
        """Where each id is among the products; -1 for one that the index did not have."""
        return found_in(self.products["id"], ids)

    @cached_property
    def live(self) -> Flags:
        """Which of the products have a document."""
        flags: Flags = self.products["digest"] != 0
        return flags

    @cached_property
    def embedded(self) -> NDArray[np.intp]:
        """(N,): how many images with a row each product has."""
        owners = self.rows(self.images["product"][(self.images["kind"] & EMBEDDED) != 0])
        return np.bincount(owners[owners >= 0], minlength=len(self.products))


@dataclass(frozen=True, eq=False)
class Suspects:
    """Products whose images may have changed under their URIs, by what a LIST of the buckets said."""

    products: Flags  # (N,), one a known product
    moved: int
    """Images with another ETag than the bytes that were embedded, or there and not embedded so far."""
    vanished: int
    """Images with a row that no listing has."""


def suspects_of(known: Known, listings: Iterable[bytes], *, complete: bool) -> Suspects:
    """Compare what was embedded with what the buckets list, as rows of `LISTED`.

    Where not all folders could be listed (not `complete`), none counts as vanished. An image elsewhere
    than in S3 is suspect only where it could not be embedded: its source is not asked here.
    """
    listed = np.frombuffer(b"".join(listings), LISTED)
    _, last = np.unique(listed["uri"][::-1], return_index=True)
    listed = listed[len(listed) - 1 - last]
    images = known.images
    embedded, in_s3 = (images["kind"] & EMBEDDED) != 0, (images["kind"] & IN_S3) != 0
    places = found_in(listed["uri"], images["uri"])
    there = in_s3 & (places >= 0)
    same = np.zeros(len(images), np.bool_)
    same[there] = listed["etag"][places[there]] == images["etag"][there]
    moved = there & ~(same & embedded)
    vanished = in_s3 & ~there & embedded & complete
    owners = known.rows(images["product"][moved | vanished | (~in_s3 & ~embedded)])
    suspects = np.zeros(len(known.products), np.bool_)
    suspects[owners[owners >= 0]] = True
    return Suspects(suspects, int(moved.sum()), int(vanished.sum()))


def found_in(ascending: Hashes, wanted: Hashes) -> NDArray[np.intp]:
    """Where each wanted hash is among the ascending ones; -1 where it is not."""
    if not len(ascending):
        return np.full(len(wanted), -1, np.intp)
    places = np.minimum(np.searchsorted(ascending, wanted), len(ascending) - 1)
    return np.where(ascending[places] == wanted, places, -1)
