"""Any image to pixels by Pillow, which knows every format; the limits are its callers'."""

from io import BytesIO

import numpy as np
from numpy.typing import NDArray
from PIL import AvifImagePlugin, Image, ImageChops

from recommender.images.orientation import UPRIGHT, canvas, read_orientation

FORMATS = ("JPEG", "PNG", "WEBP", "GIF", "AVIF")

# Pillow's own limit is one for the whole process and partly a warning.
Image.MAX_IMAGE_PIXELS = None

AvifImagePlugin.DEFAULT_MAX_THREADS = (
    1  # threads are the caller's; one more for each core and image is too many
)

_BAND_PX = 1 << 20


def open_image(data: bytes) -> Image.Image:
    """Read the header; no pixel is decoded, though a WebP's canvas is allocated.

    Raises:
        PIL.UnidentifiedImageError: it is none of `FORMATS`.
    """
    return Image.open(BytesIO(data), formats=FORMATS)


def upright_rgb(image: Image.Image, orientation: int) -> NDArray[np.uint8]:
    """Decode the first frame: (h, w, 3) RGB, transparency on white, turned as its EXIF says. Closes `image`.

    `orientation` is what was dropped from the container; WebP and AVIF keep theirs beside the picture.
    Colours are converted a band of rows at a time: a copy of the whole in each mode would double the memory.
    """
    exif = image.info.get("exif", b"")
    if orientation == UPRIGHT and isinstance(exif, bytes):
        orientation = read_orientation(exif)
    image.load()
    width, height = image.size
    upright, as_stored = canvas(width, height, orientation)
    rows = max(1, _BAND_PX // width)
    for top in range(0, height, rows):
        bottom = min(top + rows, height)
        as_stored[top:bottom] = np.asarray(_rgb(image.crop((0, top, width, bottom))))
    image.close()
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
