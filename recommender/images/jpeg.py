"""JPEGs to pixels by libjpeg-turbo itself: without Pillow's copies, and without the interpreter's lock.

What is not flawless is Pillow's to judge: in many photos a flaw, such as stray bytes between segments, harms
no pixel; others are truncated.
"""

import numpy as np
import simplejpeg
from numpy.typing import NDArray

_COLOURS = ("YCbCr", "RGB", "Gray")  # of CMYK, Pillow knows whether it is inverted
_FRACTIONS = (8, 4, 2)
"""What libjpeg-turbo has fast transforms for; the eighths between them cost more than the whole."""


def jpeg_size(data: bytes) -> tuple[int, int] | None:
    """The width and height in the header of a JPEG that `decode_jpeg` may know; None for any other file."""
    if not data.startswith(b"\xff\xd8"):
        return None
    try:
        height, width, colours, _ = simplejpeg.decode_jpeg_header(data)
    except ValueError:
        return None
    return (width, height) if colours in _COLOURS else None


def decode_jpeg(data: bytes, min_side_px: int | None = None) -> NDArray[np.uint8] | None:
    """Decode a JPEG that has a `jpeg_size`: (h, w, 3) uint8 RGB as stored; None if it is not flawless.

    With `min_side_px`, at 1/2, 1/4 or 1/8 of its size where no side gets shorter than that, and none is
    rounded: a last column of half a pixel would shift all the others.
    """
    try:
        height, width, *_ = simplejpeg.decode_jpeg_header(data)
        by = 1
        if min_side_px is not None:
            whole = (n for n in _FRACTIONS if height % n == 0 == width % n)
            by = next((n for n in whole if min(height, width) >= n * min_side_px), 1)
        # It takes the smallest number of eighths that has these sides.
        pixels: NDArray[np.uint8] = simplejpeg.decode_jpeg(
            data, "RGB", min_height=height // by, min_width=width // by
        )
    except ValueError:
        return None
    return pixels
