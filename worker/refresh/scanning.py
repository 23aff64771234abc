"""First phase: note what the index knows, a page of its census a part."""

import json
from collections.abc import Iterator

from recommender.index.protocol import CensusPage
from worker.refresh.folders import common_folders, folder_of
from worker.refresh.known import images_of, products_of
from worker.refresh.position import RefreshPosition
from worker.refresh.run import Run

PAGE_POINTS = 1024


def scan(run: Run, position: RefreshPosition) -> Iterator[RefreshPosition]:
    """Note every point; the last position is the start of the listing.

    Raises:
        IndexUnavailable: the index failed; the part may be tried again.
    """
    while position.phase == "scanning":
        page = run.index.census(limit=PAGE_POINTS, cursor=position.cursor or None)
        run.notes.put(
            position.scanned,
            products=products_of(page.entries),
            images=images_of(page.entries),
            folders=json.dumps(common_folders(_folders(page))).encode(),
        )
        position = position.to(
            phase="scanning" if page.cursor else "listing",
            scanned=position.scanned + 1,
            cursor=page.cursor or "",
            counts=position.counts.plus(points=len(page.entries)),
        )
        run.job.done(position.counts.points)
        yield position


def _folders(page: CensusPage) -> set[str]:
    images = (image for entry in page.entries for image in entry.images)
    return {folder_of(image.uri) for image in images if image.uri.startswith("s3://")}
