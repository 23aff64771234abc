"""The folders of buckets to list: few, and together all that hold an image of the catalog."""

from collections.abc import Iterable

MOST_FOLDERS = 64


def folder_of(uri: str) -> str:
    """`BUCKET/FOLDER/` of an s3:// URI; `BUCKET/` where the key has no folder."""
    return uri.removeprefix("s3://").rpartition("/")[0] + "/"


def common_folders(folders: Iterable[str], most: int = MOST_FOLDERS) -> list[str]:
    """Folders that cover the given ones, in order and none within another.

    At most `most`, or one a bucket where there are more buckets: the deepest give way to those above.
    """
    kept = _outermost(folders)
    while len(kept) > most and (depth := max(folder.count("/") for folder in kept)) > 1:
        kept = _outermost(_parent(folder) if folder.count("/") == depth else folder for folder in kept)
    return kept


def _parent(folder: str) -> str:
    return folder[:-1].rpartition("/")[0] + "/"


def _outermost(folders: Iterable[str]) -> list[str]:
    kept: list[str] = []
    for folder in sorted(set(folders)):
        if not kept or not folder.startswith(kept[-1]):
            kept.append(folder)
    return kept
