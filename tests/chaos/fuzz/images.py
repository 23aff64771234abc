"""Images that are almost right, through decode, to_input and thumbnail: pixels, or an `ImageError`."""

import random
import struct
import zlib
from functools import cache
from io import BytesIO
from typing import Any

import torch
from PIL import Image, ImageDraw

from recommender.encoders.preprocess import to_input
from recommender.encoders.protocol import Preprocessing
from recommender.errors import ImageError
from recommender.images.decode import decoded, thumbnail
from tests.chaos.fuzz.mutation import mutated

MAX_PIXELS = 4_000_000
_MIB = 2**20
RSS_BOUND_BYTES = 24 * MAX_PIXELS + 64 * _MIB
"""What docs/deploy.md says of a pixel in hand, and what allocators keep for themselves."""

_SIZE = (40, 24)
_INPUTS = (
    Preprocessing(24, 27, "crop", "bilinear", (0.5,) * 3, (0.5,) * 3),
    Preprocessing(16, 16, "squash", "bicubic", (0.5,) * 3, (0.5,) * 3),
)


def make(seed: int, n: int) -> bytes:
    """The n-th image of a run."""
    rng = random.Random(f"{seed} {n}")
    seeds = _seeds()
    return mutated(rng.choice(seeds), seeds, rng)


def check(data: bytes, n: int) -> str:
    """What became of it, for the count; whatever it raises is a violation."""
    p = _INPUTS[n % len(_INPUTS)]
    try:
        if n % 8 == 0:
            jpeg = thumbnail(data, name="fuzz", px=32, max_pixels=MAX_PIXELS)
            with Image.open(BytesIO(jpeg)) as small:
                small.load()
                assert max(small.size) <= 32, small.size
            return "thumbnail"
        with decoded(data, name="fuzz", max_pixels=MAX_PIXELS) as pixels:
            assert (pixels.dtype, pixels.ndim, pixels.shape[0]) == (torch.uint8, 3, 3), pixels.shape
            ready = to_input(pixels, p)
    except ImageError as error:
        return type(error).__name__
    assert ready.shape == (3, p.input_px, p.input_px), ready.shape
    assert ready.dtype == torch.uint8
    return "pixels"


@cache
def _seeds() -> tuple[bytes, ...]:
    rgb, alpha = _picture("RGB"), _picture("RGBA")
    exif = Image.Exif()
    exif[0x0112], exif[0x010F] = 6, "a camera"
    later = {"save_all": True, "append_images": [rgb.rotate(180), rgb.rotate(90)]}
    profile = {"icc_profile": bytes(range(256)) * 2}
    return (
        _saved(rgb, "JPEG", exif=exif, **profile),
        _saved(rgb, "JPEG", progressive=True, comment=b"so it is"),
        _saved(rgb, "JPEG", restart_marker_blocks=1),
        _saved(rgb.convert("CMYK"), "JPEG"),
        _saved(rgb.convert("L"), "JPEG"),
        _saved(rgb, "MPO", save_all=True, append_images=[rgb]),
        _saved(rgb, "PNG", exif=exif, **profile),
        _saved(alpha, "PNG"),
        _saved(rgb.quantize(), "PNG", transparency=0),
        _saved(rgb.convert("I;16"), "PNG"),
        _saved(rgb, "PNG", **later),
        _interlaced(),
        _saved(rgb, "GIF", comment=b"so it is"),
        _saved(rgb, "GIF", transparency=0, **later),
        _saved(rgb, "WEBP", exif=exif),
        _saved(alpha, "WEBP", lossless=True, **profile),
        _saved(alpha, "WEBP", **later),
        _saved(rgb, "AVIF", exif=exif, speed=10),
        _saved(alpha, "AVIF", speed=10),
        _saved(rgb, "AVIF", speed=10, **later),
        b"<!DOCTYPE html><title>404 Not Found</title>" + bytes(100),
    )


def _picture(mode: str) -> Image.Image:
    image = Image.linear_gradient("L").resize(_SIZE).convert(mode)
    ImageDraw.Draw(image).ellipse((5, 3, 30, 20), fill=(200, 30, 30, 128)[: len(mode)])
    return image


def _saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def _interlaced() -> bytes:
    """A 4 x 4 grey PNG in the seven passes of Adam7, which Pillow reads and doesn't write."""
    passes = [(1, 1), (1, 1), (2, 1), (2, 2), (4, 2)]  # width and rows of those that have pixels, at 4 x 4
    rows = b"".join((b"\0" + bytes(range(10, 10 + width))) * height for width, height in passes)
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 4, 4, 8, 0, 0, 0, 1)),
        (b"IDAT", zlib.compress(rows)),
        (b"IEND", b""),
    )
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))
        for kind, data in chunks
    )
