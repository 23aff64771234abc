"""Folders of labelled photos, split once, with near-duplicates kept on one side.

A data set is a folder with `train` and `validation` (or `val`) below it; below those a photo's
label is the path of the folders it lies in. Training sees `train` alone. `validation` is split once:
a smaller part for choosing, a larger one held back for the number that is reported.
"""

import hashlib
from collections import defaultdict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from PIL import Image, ImageOps
from torch import Tensor

STORED_PX = 176
HELD_BACK_SHARE = 2 / 3  # of the validation photos
NEAR_DUPLICATE_CORRELATION = 0.95
_PART_OF_FOLDER = {"train": "train", "validation": "validation", "val": "validation"}


@dataclass(frozen=True, slots=True)
class Photo:
    """One labelled photo; `name` is stable across machines, so that the split is too."""

    path: Path
    name: str
    data_set: str
    label: str
    part: str


def list_photos(named_folders: Sequence[str]) -> list[Photo]:
    """List the photos of data sets given as NAME=FOLDER, each sorted by name.

    Raises:
        ValueError: an item is not NAME=FOLDER, or a folder lacks photos below one of its parts.
    """
    photos = []
    for item in named_folders:
        name, equals, folder = item.partition("=")
        if not (name and equals and folder):
            raise ValueError(f"{item}: expected NAME=FOLDER")
        photos += _photos_below(name, Path(folder))
    return photos


def _photos_below(data_set: str, root: Path) -> list[Photo]:
    photos = []
    for folder, part in _PART_OF_FOLDER.items():
        for path in sorted((root / folder).rglob("*")):
            if path.suffix.lower() not in {".jpg", ".jpeg", ".png", ".webp"}:
                continue
            below = path.relative_to(root / folder)
            label = f"{data_set}/{below.parent.as_posix()}"
            photos.append(Photo(path, f"{data_set}/{part}/{below.as_posix()}", data_set, label, part))
    if {photo.part for photo in photos} != {"train", "validation"}:
        raise ValueError(f"{root}: expected photos below train/ and validation/ (or val/)")
    return photos


def load_squashed(photos: Sequence[Photo], size_px: int) -> Tensor:
    """Decode the photos, squashed to a square: (N, 3, size_px, size_px) uint8, RGB."""

    def load(photo: Photo) -> np.ndarray:
        with Image.open(photo.path) as image:
            upright = ImageOps.exif_transpose(image).convert("RGB")
            return np.asarray(upright.resize((size_px, size_px), Image.Resampling.BICUBIC))

    pixels = torch.empty(len(photos), 3, size_px, size_px, dtype=torch.uint8)
    with ThreadPoolExecutor() as pool:
        for row, array in enumerate(pool.map(load, photos)):
            pixels[row] = torch.from_numpy(array.copy()).permute(2, 0, 1)
    return pixels


def near_duplicate_groups(pixels: Tensor) -> list[int]:
    """Group photos that show the same shot: row i belongs to the group of the returned number i.

    Two photos are joined when their 16x16 colour thumbnails, each of zero mean and unit norm,
    correlate above `NEAR_DUPLICATE_CORRELATION`, as they are or mirrored; groups are transitive.
    """
    thumbnails = torch.nn.functional.interpolate(pixels.float(), size=(16, 16), mode="area")  # (N, 3, 16, 16)
    flat = thumbnails.flatten(1)
    flat = torch.nn.functional.normalize(flat - flat.mean(dim=1, keepdim=True), dim=1)
    mirrored = thumbnails.flip(3).flatten(1)
    mirrored = torch.nn.functional.normalize(mirrored - mirrored.mean(dim=1, keepdim=True), dim=1)
    parent = list(range(len(pixels)))

    def root_of(row: int) -> int:
        while parent[row] != row:
            parent[row] = parent[parent[row]]
            row = parent[row]
        return row

    for other in (flat, mirrored):
        pairs = (flat @ other.T > NEAR_DUPLICATE_CORRELATION).nonzero().tolist()
        for left, right in pairs:
            first, second = sorted((root_of(left), root_of(right)))
            parent[second] = first
    return [root_of(row) for row in range(len(pixels))]


@dataclass(frozen=True, slots=True)
class Split:
    """Rows of the three parts, the near-duplicate group of every row, and a hash of who is where."""

    train: list[int]
    choosing: list[int]
    held_back: list[int]
    groups: list[int]
    sha256: str


def split_photos(photos: Sequence[Photo], pixels: Tensor) -> Split:
    """Split once and for all: the same photos give the same split, whatever their order on disk.

    Near-duplicates stay on one side: a training photo in a group with a validation photo is left
    out. Of the groups of a label in `validation`, those with the smallest hash of their first name
    are held back until `HELD_BACK_SHARE` of the label's photos is reached.
    """
    groups = near_duplicate_groups(pixels)
    by_label: dict[str, dict[int, list[int]]] = defaultdict(lambda: defaultdict(list))
    for row, photo in enumerate(photos):
        if photo.part == "validation":
            by_label[photo.label][groups[row]].append(row)
    held_back: set[int] = set()
    for members in by_label.values():
        held_back.update(_held_back(photos, list(members.values())))
    touched = {groups[row] for row, photo in enumerate(photos) if photo.part == "validation"}
    train = [row for row, photo in enumerate(photos) if photo.part == "train" and groups[row] not in touched]
    choosing = [
        row for row, photo in enumerate(photos) if photo.part == "validation" and row not in held_back
    ]
    held = sorted(held_back)
    return Split(train, choosing, held, groups, _digest(photos, train, choosing, held))


def _held_back(photos: Sequence[Photo], groups: list[list[int]]) -> Iterator[int]:
    def draw(rows: list[int]) -> str:
        return hashlib.sha256(min(photos[row].name for row in rows).encode()).hexdigest()

    wanted = HELD_BACK_SHARE * sum(map(len, groups))
    taken = 0
    for rows in sorted(groups, key=draw):
        if taken >= wanted:
            return
        taken += len(rows)
        yield from rows


def _digest(photos: Sequence[Photo], *parts: list[int]) -> str:
    lines = [
        f"{part} {photos[row].name}"
        for part, rows in zip(("train", "choosing", "held_back"), parts, strict=True)
        for row in rows
    ]
    return hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()
