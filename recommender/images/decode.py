"""From the bytes of an image file to pixels; decoders' errors are translated here and nowhere else."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from io import BytesIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import Image, UnidentifiedImageError
from torch import Tensor

from recommender.errors import ImageNotDecodable, ImageTooLarge
from recommender.images.budget import Budget
from recommender.images.jpeg import decode_jpeg, jpeg_size
from recommender.images.orientation import turned
from recommender.images.pillow import open_image, upright_rgb
from recommender.images.strip import Malformed, Stripped, strip

MAX_SIDE_PX = 65_535
"""The largest side that JPEG and GIF know. Rows of a PNG can be longer, and take gigabytes by themselves."""

MAX_SCANNED_PIXELS = 2 * 10**9
"""Scans x pixels of a JPEG: 31 scans at 64 megapixels, each of which takes up to 0.1 s."""

_ORDINARY_SCANS = 16
"""A JPEG of more is left to Pillow at once: with flaws it would be decoded twice."""

BYTES_PER_PIXEL = 24
"""Memory at peak for each pixel that is being decoded. Measured at 64 megapixels of noise: GIF 5, JPEG and
PNG 7, progressive JPEG 12, WebP 17, AVIF 17; an AVIF of 12 bits with alpha and film grain should take 24.
Pillow's picture is 4 of them, and ours 3; the rest are what decoders keep for themselves.
"""

COPIES_OF_THE_FILE = 6
"""Of the file too decoders make copies: AVIF five if it is all metadata, WebP three; and one is stripped."""

FILE_BYTES_AT_A_TIME = 32 * 2**20

_PIXELS, _FILES = Budget(), Budget()


@dataclass(frozen=True, slots=True)
class _File:
    """What is to be decoded: its bytes, its size, and Pillow's reader, which a usual JPEG doesn't need."""

    stripped: Stripped
    size: tuple[int, int]
    image: Image.Image | None


@contextmanager
def decoded(data: bytes, *, name: str, max_pixels: int, min_side_px: int | None = None) -> Iterator[Tensor]:
    """Decode an image file: (3, h, w) uint8 on the host, RGB, upright, on white; its memory is (h, w, 3).

    Called by any thread. `max_pixels` is also what one process decodes at a time, all threads together:
    blocks until there is room. Its pixels count until the block ends, so shrink them inside, keep no
    reference to them, and decode no other image there.

    With `min_side_px`, a JPEG may come at exactly 1/2, 1/4 or 1/8 of its size, no side shorter than that.

    Raises:
        ImageTooLarge: its header says more than `max_pixels`; nothing was decoded.
        ImageNotDecodable: no JPEG, PNG, WebP, GIF or AVIF, truncated, corrupt, or it would take too long.
    """
    with _opened(data, name, max_pixels) as file:
        with _translated(name):
            pixels = _upright_rgb(file, min_side_px)
        yield torch.from_numpy(pixels).permute(2, 0, 1)


def thumbnail(data: bytes, *, name: str, px: int, max_pixels: int) -> bytes:
    """Make a JPEG that fits into a square of `px`, never enlarged.

    Raises:
        ImageTooLarge: its header says more than `max_pixels`; nothing was decoded.
        ImageNotDecodable: not a JPEG, PNG, WebP, GIF or AVIF, truncated or corrupt.
    """
    with _opened(data, name, max_pixels) as file, _translated(name):
        small = Image.fromarray(_upright_rgb(file, 2 * px))
        small.thumbnail((px, px), Image.Resampling.LANCZOS)
        jpeg = BytesIO()
        small.save(jpeg, "JPEG", quality=85)
    return jpeg.getvalue()


@contextmanager
def _translated(name: str) -> Iterator[None]:
    """Whatever a decoder raises, the file is at fault; but memory is not the file's."""
    try:
        yield
    except (ImageTooLarge, ImageNotDecodable, MemoryError):
        raise
    except Exception as error:  # decoders raise OSError, SyntaxError, ValueError, struct.error, ...
        raise ImageNotDecodable(name, f"corrupt or truncated: {error}") from error


@contextmanager
def _opened(data: bytes, name: str, max_pixels: int) -> Iterator[_File]:
    """Read the header, check what it announces, and wait for room; no pixel is decoded.

    Whoever waits for pixels has room for its file already, and never the other way round.
    """
    # Pillow allocates the canvas of a WebP when it opens one, so that limit comes first.
    _check_pixels(_webp_canvas(data), name, max_pixels)
    with _FILES.hold(len(data), FILE_BYTES_AT_A_TIME), _header(data, name) as file:
        _check_pixels(file.size, name, max_pixels)
        width, height = file.size
        # Half of what is coded may be an alpha plane, which is part of each pixel.
        pixels = max(width * height, file.stripped.coded_pixels // 2)
        if pixels > max_pixels:
            raise ImageTooLarge(name, f"{pixels} pixels are coded, though it says {width} x {height}")
        if file.stripped.scans * pixels > MAX_SCANNED_PIXELS:
            raise ImageNotDecodable(name, f"{file.stripped.scans} scans of {pixels} pixels take too long")
        with _PIXELS.hold(pixels, max_pixels):
            yield file


@contextmanager
def _header(data: bytes, name: str) -> Iterator[_File]:
    with _translated(name):
        try:
            stripped = strip(data)
            size = jpeg_size(stripped.data) if stripped.scans <= _ORDINARY_SCANS else None
            image = open_image(stripped.data) if size is None else None
        except (UnidentifiedImageError, Malformed) as error:
            raise ImageNotDecodable(name, _what_it_is(data, error)) from error
    if image is None:
        assert size is not None
        yield _File(stripped, size, None)
        return
    with image:
        yield _File(stripped, image.size, image)


def _check_pixels(size: tuple[int, int], name: str, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        reason = f"{width} x {height} pixels, more than the {max_pixels} of LOOKALIKE_IMAGES__MAX_PIXELS"
        raise ImageTooLarge(name, reason)
    if max(width, height) > MAX_SIDE_PX:
        raise ImageTooLarge(name, f"{width} x {height} pixels; a side may have {MAX_SIDE_PX}")


def _webp_canvas(data: bytes) -> tuple[int, int]:
    """The size in the first chunk of a WebP (RFC 9649, sections 2.5 to 2.7); (0, 0) if it has none."""
    if data[:4] != b"RIFF" or data[8:12] != b"WEBP" or len(data) < 30:
        return 0, 0
    match data[12:16]:
        case b"VP8 ":
            width, height = struct.unpack_from("<HH", data, 26)
            return width & 0x3FFF, height & 0x3FFF
        case b"VP8L":
            bits = int.from_bytes(data[21:25], "little")
            return 1 + (bits & 0x3FFF), 1 + (bits >> 14 & 0x3FFF)
        case b"VP8X":
            return 1 + int.from_bytes(data[24:27], "little"), 1 + int.from_bytes(data[27:30], "little")
    return 0, 0


def _what_it_is(data: bytes, error: Exception) -> str:
    if not data:
        return "the file is empty"
    if data.lstrip()[:1] == b"<":
        return "an HTML or XML document, not an image; perhaps an error page was stored in its place"
    if isinstance(error, Malformed):
        return f"corrupt or truncated: {error}"
    return f"not a JPEG, PNG, WebP, GIF or AVIF that can be read; it starts with {data[:12]!r}"


def _upright_rgb(file: _File, min_side_px: int | None) -> NDArray[np.uint8]:
    """Decode: (h, w, 3) RGB, transparency on white, turned as its EXIF says."""
    stripped, image = file.stripped, file.image
    if image is None:
        pixels = decode_jpeg(stripped.data, min_side_px)
        if pixels is not None:
            return turned(pixels, stripped.orientation)
        image = open_image(stripped.data)
        if image.size != file.size:
            raise Malformed(f"it says {file.size} pixels, and then {image.size}")
    return upright_rgb(image, stripped.orientation)
