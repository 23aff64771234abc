"""The index against the buckets, by LIST: pictures that are gone, and those that were replaced."""

from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from recommender.errors import ImageError
from recommender.images.source import ImageSource
from worker.audit.census import Census, Flags
from worker.audit.findings import Example, Findings
from worker.audit.kinds import REPLACED, VANISHED
from worker.hashes import Hashes, hashes, plain_etag
from worker.refresh.folders import common_folders, folder_of

S3 = "s3://"
_MOST_HELD = 10_000
"""Folders that are held in memory at a time."""


@dataclass(slots=True)
class Listed:
    """What the buckets have of the census's images.

    `uris` (U,) are their hashes, sorted; `etags` (U,) those of the ETags, 0 where a bucket does not have it;
    `place` (I,) is where in them each image is; `asked` (I,): its bucket could be listed. `buckets` counts
    the keys that were listed in each.
    """

    uris: Hashes
    etags: Hashes
    place: NDArray[np.int64]
    asked: Flags
    buckets: Counter[str] = field(default_factory=Counter)

    @property
    def gone(self) -> Flags:
        """(I,): images that their bucket does not have."""
        flags: Flags = self.asked & (self.etags[self.place] == 0)
        return flags


def list_images(
    census: Census, source: ImageSource, findings: Findings, advance: Callable[[int], None]
) -> Listed:
    """List the folders that hold the images of live products, 1,000 keys a call.

    A bucket that can't be listed is one of what was not looked at.

    Raises:
        ImageStoreUnavailable: the store failed; the audit can be made again later.
    """
    uris, place = np.unique(census.images["uri"], return_inverse=True)
    listed = Listed(uris, np.zeros(len(uris), np.uint64), place, np.zeros(len(place), np.bool_))
    folders, elsewhere = _folders(census)
    for named in folders:
        folder = f"{S3}{named}"
        bucket, _, prefix = named.partition("/")
        try:
            keys = _list(source, bucket, prefix, listed, advance)
        except ImageError as error:
            findings.not_looked_at.append(f"pictures in {folder}, which can't be listed: {error.reason}")
            continue
        listed.buckets[f"{S3}{bucket}/"] += keys
        listed.asked |= _below(census, folder)
    if elsewhere:
        findings.not_looked_at.append(f"whether {elsewhere} pictures that are in no bucket are still there")
    return listed


def check_buckets(census: Census, listed: Listed, findings: Findings) -> None:
    """Pictures that were embedded and are gone, or other bytes by now."""
    images = census.images
    embedded = census.images_of_live & (images["row"] >= 0)
    now = listed.etags[listed.place]
    replaced = embedded & listed.asked & (now != 0) & (images["etag"] != 0) & (now != images["etag"])
    for kind, chosen in ((VANISHED, embedded & listed.gone), (REPLACED, replaced)):
        for product, those in census.by_product(chosen):
            detail = f"{len(those)} pictures" if len(those) > 1 else ""
            findings[kind].add(Example(census.ids[product], detail, census.uris[those[0]]))


def _folders(census: Census) -> tuple[list[str], int]:
    """The folders to list, `BUCKET/FOLDER/` each, and how many images are in no bucket."""
    folders: set[str] = set()
    elsewhere = 0
    for at in np.flatnonzero(census.images_of_live).tolist():
        uri = census.uris[at]
        if not uri.startswith(S3):
            elsewhere += 1
            continue
        folders.add(folder_of(uri))
        if len(folders) > _MOST_HELD:
            folders = set(common_folders(folders))
    return common_folders(folders), elsewhere


def _list(
    source: ImageSource, bucket: str, prefix: str, listed: Listed, advance: Callable[[int], None]
) -> int:
    """Note what the census knows; returns how many keys there are."""
    count, after = 0, ""
    while True:
        page = source.list_objects(bucket, prefix, after)
        count += len(page.objects)
        _note(listed, bucket, page.objects, advance)
        if not page.more:
            return count
        after = page.objects[-1][0]


def _note(
    listed: Listed, bucket: str, objects: Iterable[tuple[str, str]], advance: Callable[[int], None]
) -> None:
    names = list(objects)
    found = hashes(f"{S3}{bucket}/{key}" for key, _ in names)
    at = np.minimum(np.searchsorted(listed.uris, found), max(len(listed.uris) - 1, 0))
    known = listed.uris[at] == found if len(listed.uris) else np.zeros(len(found), np.bool_)
    # An object without an ETag is there all the same.
    etags = np.maximum(hashes(plain_etag(etag) for _, etag in names), 1)
    listed.etags[at[known]] = etags[known]
    advance(int(known.sum()))


def _below(census: Census, folder: str) -> Flags:
    uris = (census.uris[at].startswith(folder) for at in range(len(census.uris)))
    below = np.fromiter(uris, np.bool_, len(census.uris))
    flags: Flags = below & census.images_of_live
    return flags
