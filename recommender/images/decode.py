"""From the bytes of an image file to pixels; Pillow's errors are translated here and nowhere else."""

import struct
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO

import numpy as np
import torch
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image, ImageChops, UnidentifiedImageError
from torch import Tensor

from recommender.errors import ImageNotDecodable, ImageTooLarge
from recommender.images.budget import Budget
from recommender.images.exif import UPRIGHT, read_orientation
from recommender.images.strip import Malformed, Stripped, strip

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")

# Pillow's own limit is one for the whole process and partly a warning; ours is checked in `_open`.
Image.MAX_IMAGE_PIXELS = None

AvifImagePlugin.DEFAULT_MAX_THREADS = (
    1  # threads are the caller's; one more for each core and image is too many
)

MAX_SIDE_PX = 65_535
"""The largest side that JPEG and GIF know. Rows of a PNG can be longer, and take gigabytes by themselves."""

MAX_SCANNED_PIXELS = 2 * 10**9
"""Scans x pixels of a JPEG: 31 scans at 64 megapixels, each of which takes up to 0.1 s."""

BYTES_PER_PIXEL = 24
"""Memory at peak for each pixel that is being decoded. Measured at 64 megapixels of noise: GIF 5, JPEG and
PNG 7, progressive JPEG 12, WebP 17, AVIF 17; an AVIF of 12 bits with alpha and film grain should take 24.
Pillow's picture is 4 of them, and ours 3; the rest are what decoders keep for themselves.
"""

COPIES_OF_THE_FILE = 6
"""Of the file too decoders make copies: AVIF five if it is all metadata, WebP three; and one is stripped."""

FILE_BYTES_AT_A_TIME = 32 * 2**20

_PIXELS, _FILES = Budget(), Budget()
_BAND_PX = 1 << 20

# How a camera held in that way stores the upright picture (EXIF 2.32, tag 0x0112): what gives a view of
# (3, H, W) in which row y is row y of the file.
_AS_STORED: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, :, ::-1],
    3: lambda upright: upright[:, ::-1, ::-1],
    4: lambda upright: upright[:, ::-1],
    5: lambda upright: upright.transpose(0, 2, 1),
    6: lambda upright: upright.transpose(0, 2, 1)[:, ::-1],
    7: lambda upright: upright.transpose(0, 2, 1)[:, ::-1, ::-1],
    8: lambda upright: upright.transpose(0, 2, 1)[:, :, ::-1],
}


@contextmanager
def decoded(data: bytes, *, name: str, max_pixels: int) -> Iterator[Tensor]:
    """Decode an image file: (3, h, w) uint8 on the host, RGB, upright, on white, contiguous.

    Called by any thread. `max_pixels` is also what one process decodes at a time, all threads together:
    blocks until there is room. Its pixels count until the block ends, so shrink them inside, keep no
    reference to them, and decode no other image there.

    Raises:
        ImageTooLarge: its header says more than `max_pixels`; nothing was decoded.
        ImageNotDecodable: not an image of `FORMATS`, truncated or corrupt, or it would take too long.
    """
    with _opened(data, name, max_pixels) as (image, orientation):
        with _translated(name):
            pixels = _upright_rgb(image, orientation)
            image.close()
        yield torch.from_numpy(pixels)


def decode(data: bytes, *, name: str, max_pixels: int) -> Tensor:
    """Like `decoded`, for pixels that are few or few at a time: once returned, they no longer count."""
    with decoded(data, name=name, max_pixels=max_pixels) as pixels:
        return pixels


def thumbnail(data: bytes, *, name: str, px: int, max_pixels: int) -> bytes:
    """Make a JPEG that fits into a square of `px`, never enlarged.

    Raises:
        ImageTooLarge: its header says more than `max_pixels`; nothing was decoded.
        ImageNotDecodable: not an image of `FORMATS`, truncated or corrupt.
    """
    with _opened(data, name, max_pixels) as (image, orientation), _translated(name):
        image.draft(None, (2 * px, 2 * px))  # a JPEG decodes at a fraction of its size, for less
        pixels = _upright_rgb(image, orientation)
        image.close()
        small = Image.fromarray(np.moveaxis(pixels, 0, 2))
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
def _opened(data: bytes, name: str, max_pixels: int) -> Iterator[tuple[Image.Image, int]]:
    """Read the header, check what it announces, and wait for room; no pixel is decoded.

    Gives the image and its EXIF orientation. Whoever waits for pixels has room for its file already, and
    never the other way round.
    """
    # Pillow allocates the canvas of a WebP when it opens one, so that limit comes first.
    _check_pixels(_webp_canvas(data), name, max_pixels)
    with _FILES.hold(len(data), FILE_BYTES_AT_A_TIME), _header(data, name) as (image, stripped):
        _check_pixels(image.size, name, max_pixels)
        # Half of what is coded may be an alpha plane, which is part of each pixel.
        pixels = max(image.width * image.height, stripped.coded_pixels // 2)
        if pixels > max_pixels:
            raise ImageTooLarge(
                name, f"{pixels} pixels are coded, though it says {image.width} x {image.height}"
            )
        if stripped.scans * pixels > MAX_SCANNED_PIXELS:
            raise ImageNotDecodable(name, f"{stripped.scans} scans of {pixels} pixels take too long")
        with _PIXELS.hold(pixels, max_pixels):
            yield image, stripped.orientation if stripped.orientation != UPRIGHT else _noted(image)


@contextmanager
def _header(data: bytes, name: str) -> Iterator[tuple[Image.Image, Stripped]]:
    with _translated(name):
        try:
            stripped = strip(data)
            image = Image.open(BytesIO(stripped.data), formats=FORMATS)
        except (UnidentifiedImageError, Malformed) as error:
            raise ImageNotDecodable(name, _what_it_is(data, error)) from error
    with image:
        yield image, stripped


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


def _noted(image: Image.Image) -> int:
    """What WebP and AVIF keep beside the picture; the containers of the others were read by `strip`."""
    exif = image.info.get("exif", b"")
    return read_orientation(exif) if isinstance(exif, bytes) else UPRIGHT


def _upright_rgb(image: Image.Image, orientation: int) -> NDArray[np.uint8]:
    """Decode the first frame: (3, h, w) RGB, transparency on white, turned as its EXIF says.

    Colours are converted a band of rows at a time: a copy of the whole in each mode would double the memory.
    """
    image.load()
    width, height = image.size
    upright = np.empty((3, height, width) if orientation < 5 else (3, width, height), np.uint8)
    as_stored = _AS_STORED[orientation](upright)
    rows = max(1, _BAND_PX // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        band = _rgb(image.crop((0, top, width, bottom)))
        as_stored[:, top:bottom] = np.moveaxis(np.asarray(band), 2, 0)
    return upright


def _rgb(band: Image.Image) -> Image.Image:
    if band.mode.startswith("I;16"):
        return _from_16_bits(band)
    if band.has_transparency_data:
        rgba = band.convert("RGBA")
        rgb = Image.new("RGB", band.size, "white")
        rgb.paste(rgba, mask=rgba)
        return rgb
    if band.mode == "CMYK" and "adobe" not in band.info:
        band = ImageChops.invert(band)  # Pillow takes each for one of Adobe's, which are inverted
    return band.convert("RGB")


def _from_16_bits(band: Image.Image) -> Image.Image:
    """Scale grey of 16 bits to 8, as Pillow does for colour; its own conversion of grey clips."""
    grey = np.asarray(band)
    eight_bits = (grey >> 8).astype(np.uint8)
    if "transparency" in band.info:
        eight_bits[grey == band.info["transparency"]] = 255
    return Image.fromarray(eight_bits).convert("RGB")
