"""The photos that are measured with: given ones, else drawn; as JPEGs of a longer side, under many keys."""

import os
from collections.abc import Iterable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from itertools import repeat
from multiprocessing import get_context
from pathlib import Path

from PIL import Image, ImageOps

from tests.benchmarks.store import BUCKET
from worker.demo.catalog import make_catalog
from worker.demo.draw import draw

PHOTOS = 240
LINKS = 40
"""Keys a photo: objects of their own to everybody who asks, so that nothing is fetched once for two."""
QUALITY = 88


@dataclass(frozen=True)
class Pictures:
    """Keys of the bucket by longer side in px, and where the photos came from."""

    keys: dict[int, list[str]]
    origin: str
    mean_bytes: dict[int, int]


def prepare(root: Path, sides: Sequence[int], given: Path | None) -> Pictures:
    """Write the photos below `root`; what is there already stays."""
    files = evenly(sorted(given.rglob("*.jpg")), PHOTOS) if given else list(range(PHOTOS))
    origin = f"{len(files)} photos of {given.name}" if given else f"{len(files)} drawn photos"
    keys, mean_bytes = {}, {}
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as processes:
        for side in sides:
            folder = root / BUCKET / str(side)
            folder.mkdir(parents=True, exist_ok=True)
            paths = [folder / f"{number}.jpg" for number in range(len(files))]
            list(processes.map(_write, files, paths, repeat(side), chunksize=8))
            mean_bytes[side] = sum(path.stat().st_size for path in paths) // len(paths)
            keys[side] = [f"{side}/{name}" for name in _linked(paths)]
    return Pictures(keys, origin, mean_bytes)


def evenly(items: Sequence[Path], count: int) -> list[Path]:
    """`count` of them, from the whole range."""
    if not items:
        raise SystemExit("no *.jpg in the folder of photos")
    count = min(count, len(items))
    return [items[number * len(items) // count] for number in range(count)]


def _linked(paths: Iterable[Path]) -> list[str]:
    names = []
    for link in range(LINKS):
        for path in paths:
            name = f"{path.stem}-{link}.jpg"
            target = path.with_name(name)
            if not target.exists():
                os.link(path, target)
            names.append(name)
    return names


def _write(source: Path | int, target: Path, side: int) -> None:
    if target.exists():
        return
    if isinstance(source, int):
        product = make_catalog(source + 1, seed=7)[source]
        image = draw(product, product.views[0]).convert("RGB")
    else:
        image = ImageOps.exif_transpose(Image.open(source)).convert("RGB")
    scale = side / max(image.size)
    size = (max(1, round(image.width * scale)), max(1, round(image.height * scale)))
    image.resize(size, Image.Resampling.LANCZOS).save(target, "JPEG", quality=QUALITY)
