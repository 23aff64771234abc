"""Pictures of at most 256 px that all differ, in families: cuts, mirrorings and tints of drawn photos."""

import os
import random
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context
from pathlib import Path

from PIL import Image, ImageEnhance, ImageOps

from tests.benchmarks.store import BUCKET
from worker.demo.catalog import make_catalog
from worker.demo.draw import draw

SIDE = 256
FAMILY = 8
"""Pictures of one drawn photo."""


def write_pictures(root: Path, count: int) -> None:
    """Write `BUCKET/0.jpg` and so on below `root`; what is there already stays."""
    (root / BUCKET).mkdir(parents=True, exist_ok=True)
    families = -(-count // FAMILY)
    with ProcessPoolExecutor(os.cpu_count(), get_context("spawn")) as processes:
        list(processes.map(_family, range(families), [root] * families, chunksize=16))


def uri_of(number: int) -> str:
    """Where a picture lies."""
    return f"s3://{BUCKET}/{number}.jpg"


def path_of(root: Path, number: int) -> Path:
    """The file of a picture."""
    return root / BUCKET / f"{number}.jpg"


def _family(family: int, root: Path) -> None:
    targets = [path_of(root, family * FAMILY + place) for place in range(FAMILY)]
    if targets[-1].exists():
        return
    (product,) = make_catalog(1, seed=family)
    photo = draw(product, product.views[0]).convert("RGB")
    photo.thumbnail((SIDE + 64, SIDE + 64))
    chance = random.Random(family)  # noqa: S311  # pictures, no secrets
    for target in targets:
        _varied(photo, chance).save(target, "JPEG", quality=88)


def _varied(photo: Image.Image, chance: random.Random) -> Image.Image:
    share = chance.uniform(0.75, 0.95)
    size = int(photo.width * share), int(photo.height * share)
    left, top = (chance.randint(0, full - part) for full, part in zip(photo.size, size, strict=True))
    cut = photo.crop((left, top, left + size[0], top + size[1]))
    if chance.random() < 0.5:
        cut = ImageOps.mirror(cut)
    cut.thumbnail((SIDE, SIDE))
    return ImageEnhance.Color(ImageEnhance.Brightness(cut).enhance(chance.uniform(0.85, 1.15))).enhance(
        chance.uniform(0.7, 1.3)
    )
