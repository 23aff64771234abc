"""Second phase: have the buckets list what lies where the catalog's images do, 1,000 keys a request and part.

No image is asked for itself, neither by GET nor by HEAD.
"""

import logging
from collections.abc import Iterator, Sequence

import numpy as np

from recommender.errors import ImageError
from worker.hashes import Hashes, hashes, plain_etag
from worker.refresh.folders import common_folders
from worker.refresh.known import LISTED, found_in
from worker.refresh.position import RefreshPosition
from worker.refresh.run import Run

log = logging.getLogger(__name__)


def list_images(run: Run, position: RefreshPosition) -> Iterator[RefreshPosition]:
    """Note the ETags of the images that the index knows; the last position is the start of the comparison.

    A folder that may not be listed is passed over, and said in the report.

    Raises:
        ImageStoreUnavailable: the store failed; the part may be tried again.
        NotesLost: the scan's notes are gone.
    """
    if position.phase != "listing":
        return
    known = run.known(position)
    known_uris = np.unique(known.images["uri"])
    folders = common_folders(run.folders(position))
    while position.folder < len(folders):
        position = _list_page(run, position, folders[position.folder], known_uris)
        run.job.done(position.counts.listed)
        yield position
    position = position.to(phase="comparing", cursor="")
    suspects = run.suspects(position)
    found = {"moved": suspects.moved, "vanished": suspects.vanished}
    yield position.to(counts=position.counts.model_copy(update=found))


def _list_page(run: Run, position: RefreshPosition, folder: str, known_uris: Hashes) -> RefreshPosition:
    bucket, _, prefix = folder.partition("/")
    try:
        page = run.source.list_objects(bucket, prefix, position.cursor)
    except ImageError as error:
        extra = {"folder": f"s3://{folder}", "error": str(error)}
        log.error("folder_not_listed", extra=extra)  # noqa: TRY400  # the traceback says nothing more
        unlisted = {**position.counts.unlisted, f"s3://{folder}": str(error)}
        counts = position.counts.model_copy(update={"unlisted": unlisted})
        return position.to(folder=position.folder + 1, cursor="", counts=counts)
    run.notes.put(position.listed, listed=_noted(bucket, page.objects, known_uris))
    return position.to(
        listed=position.listed + 1,
        folder=position.folder if page.more else position.folder + 1,
        cursor=page.objects[-1][0] if page.more else "",
        counts=position.counts.plus(listed=len(page.objects)),
    )


def _noted(bucket: str, objects: Sequence[tuple[str, str]], known_uris: Hashes) -> bytes:
    uris = hashes(f"s3://{bucket}/{key}" for key, _ in objects)
    wanted = found_in(known_uris, uris) >= 0
    rows = np.empty(int(wanted.sum()), LISTED)
    rows["uri"] = uris[wanted]
    rows["etag"] = hashes(plain_etag(etag) for (_, etag), is_ in zip(objects, wanted, strict=True) if is_)
    return rows.tobytes()
