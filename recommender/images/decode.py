"""From the bytes of an image file to pixels; Pillow's errors are translated here and nowhere else."""

import struct
from collections.abc import Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
import torch
from PIL import ExifTags, Image, UnidentifiedImageError
from torch import Tensor

from recommender.errors import ImageNotDecodable, ImageTooLarge

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")

# Pillow's own limit is one for the whole process and partly a warning; ours is checked in `_open`.
Image.MAX_IMAGE_PIXELS = None

_TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}


def decode(data: bytes, *, name: str, max_pixels: int) -> Tensor:
    """Decode an image file: (3, h, w) uint8 on the host, RGB, upright, on white, contiguous.

    Raises:
        ImageTooLarge: its header says more than `max_pixels`; nothing was decoded.
        ImageNotDecodable: not an image of `FORMATS`, truncated or corrupt.
    """
    with _translated(name), _open(data, name, max_pixels) as image:
        pixels = np.array(_upright_rgb(image))
    return torch.from_numpy(pixels).permute(2, 0, 1).contiguous()


def thumbnail(data: bytes, *, name: str, px: int, max_pixels: int) -> bytes:
    """Make a JPEG that fits into a square of `px`, never enlarged.

    Raises:
        ImageTooLarge: its header says more than `max_pixels`; nothing was decoded.
        ImageNotDecodable: not an image of `FORMATS`, truncated or corrupt.
    """
    with _translated(name), _open(data, name, max_pixels) as image:
        image.draft(None, (2 * px, 2 * px))  # a JPEG decodes at a fraction of its size, for less
        small = _upright_rgb(image)
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


def _open(data: bytes, name: str, max_pixels: int) -> Image.Image:
    """Read the header and check the size it announces; no pixel is decoded."""
    # Pillow allocates the canvas of a WebP when it opens one, so that limit comes first.
    _check_pixels(_webp_canvas(data), name, max_pixels)
    try:
        image = Image.open(BytesIO(data), formats=FORMATS)
    except UnidentifiedImageError as error:
        raise ImageNotDecodable(name, _what_it_is(data)) from error
    _check_pixels(image.size, name, max_pixels)
    return image


def _check_pixels(size: tuple[int, int], name: str, max_pixels: int) -> None:
    width, height = size
    if width * height > max_pixels:
        reason = f"{width} x {height} pixels, more than the {max_pixels} of LOOKALIKE_IMAGES__MAX_PIXELS"
        raise ImageTooLarge(name, reason)


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


def _what_it_is(data: bytes) -> str:
    if not data:
        return "the file is empty"
    if data.lstrip()[:1] == b"<":
        return "an HTML or XML document, not an image; perhaps an error page was stored in its place"
    return f"not a JPEG, PNG, WebP, GIF or AVIF that can be read; it starts with {data[:12]!r}"


def _upright_rgb(image: Image.Image) -> Image.Image:
    """Decode the first frame: mode RGB, transparency on white, turned as its EXIF says."""
    image.load()
    turn = _TURNS.get(_orientation(image))
    if image.mode.startswith("I;16"):
        rgb = _from_16_bits(image)
    elif image.has_transparency_data:
        rgba = image.convert("RGBA")
        rgb = Image.new("RGB", image.size, "white")
        rgb.paste(rgba, mask=rgba)
    else:
        rgb = image.convert("RGB")
    return rgb if turn is None else rgb.transpose(turn)


def _from_16_bits(image: Image.Image) -> Image.Image:
    """Scale grey of 16 bits to 8, as Pillow does for colour; its own conversion of grey clips."""
    grey = np.array(image)
    eight_bits = (grey >> 8).astype(np.uint8)
    if "transparency" in image.info:
        eight_bits[grey == image.info["transparency"]] = 255
    return Image.fromarray(eight_bits).convert("RGB")


def _orientation(image: Image.Image) -> int:
    try:
        value = image.getexif().get(ExifTags.Base.Orientation)
    except (SyntaxError, ValueError, OSError, struct.error):
        return 1  # a camera's broken notes don't make the picture unreadable
    return value if isinstance(value, int) else 1
