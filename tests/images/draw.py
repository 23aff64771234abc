"""Draws the photos of this folder: `python -m tests.images.draw`. The same code draws the demo's catalog."""

from collections.abc import Iterator
from dataclasses import replace
from io import BytesIO
from pathlib import Path
from random import Random

import numpy as np
from PIL import Image

from worker.demo.catalog import Background, DrawnProduct, View, make_catalog
from worker.demo.draw import draw

FOLDER = Path(__file__).parent / "products"
MAX_BYTES = 31_000
_CLASSES = 8
_PRODUCTS_A_CLASS = 4
_BACKGROUNDS: tuple[Background, ...] = ("shapes", "noise", "gradient")  # of a product's views


def main() -> None:
    products = make_catalog(10 * _PRODUCTS_A_CLASS, seed=4)
    classes = sorted({product.category for product in products})[:_CLASSES]
    for product in products:
        if product.category in classes:
            folder = FOLDER / product.category.rpartition("/")[2]
            folder.mkdir(parents=True, exist_ok=True)
            for n, view in enumerate(_views(product)):
                (folder / f"{product.id}-{n}.jpg").write_bytes(_jpeg(_photo(product, view)))


def _views(product: DrawnProduct) -> Iterator[View]:
    """Views that differ as photos do; about 1000 px on the long side."""
    for n, background in enumerate(_BACKGROUNDS):
        r = Random(f"{product.id}/{n}")  # noqa: S311  # to draw with, not to hide with
        long = r.randint(900, 1100)
        width, height = r.choice([(long, long), (long, long * 3 // 4), (long * 3 // 4, long)])
        yield replace(
            product.views[0],
            width_px=width,
            height_px=height,
            scale=r.uniform(0.75, 0.95),
            angle_deg=r.uniform(-12, 12),
            squeeze=r.uniform(0.9, 1.0),
            mirrored=False,
            offset=(r.uniform(-0.04, 0.04), r.uniform(-0.04, 0.04)),
            background=background,
            seed=f"{product.id}/{n}",
        )


def _photo(product: DrawnProduct, view: View) -> Image.Image:
    """The picture under a weave of a few pixels: what resampling gets wrong, a smooth drawing would hide."""
    pixels = np.asarray(draw(product, view), np.float32)
    y, x = np.mgrid[: view.height_px, : view.width_px]
    period_px = Random(product.id).uniform(3, 9)  # noqa: S311
    weave = 9 * np.sin(2 * np.pi * x / period_px) * np.sin(2 * np.pi * y / period_px)
    return Image.fromarray((pixels + weave[:, :, None]).clip(0, 255).astype(np.uint8))


def _jpeg(photo: Image.Image) -> bytes:
    """The file, at the best quality that fits into `MAX_BYTES`."""
    for quality in range(88, 10, -4):
        file = BytesIO()
        photo.save(file, "JPEG", quality=quality, optimize=True)
        if file.tell() <= MAX_BYTES:
            break
    return file.getvalue()


if __name__ == "__main__":
    main()
