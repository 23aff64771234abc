"""Small pictures that no other seed gives, and the vectors that a search must find for them.

The vectors are computed here from the bytes, by Pillow and NumPy alone: nothing of what is tested has a hand
in them.
"""

import io
from functools import lru_cache

import numpy as np
from numpy.typing import NDArray
from PIL import Image

GRID = 8
SIDE_PX = 64
SAME = 0.999
"""Cosine from which two rows are of one picture: decoders round differently; two pictures stay below 0.9."""


@lru_cache(4096)
def draw(seed: int, width_px: int = SIDE_PX) -> bytes:
    """A JPEG of 8 x 8 blocks of chance."""
    blocks = np.random.default_rng(seed).integers(0, 256, (GRID, GRID, 3), dtype=np.uint8)
    file = io.BytesIO()
    Image.fromarray(blocks).resize((width_px, SIDE_PX), Image.Resampling.NEAREST).save(file, "JPEG")
    return file.getvalue()


def embed(data: bytes) -> NDArray[np.float32]:
    """The (192,) float32 row of an image file, of unit L2 norm: what tests/pixels.py makes of its pixels."""
    with Image.open(io.BytesIO(data)) as image:
        small = image.convert("RGB").resize((GRID, GRID), Image.Resampling.BILINEAR)
    flat = np.asarray(small, np.float32).transpose(2, 0, 1).reshape(-1) / 255 - 0.6
    row: NDArray[np.float32] = flat / np.linalg.norm(flat)
    return row
