"""The one thing that is read from EXIF: which side is up; and how to turn a picture so."""

import struct
from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

UPRIGHT = 1
_ORIENTATION = 0x0112
_FORMATS = {3: "H", 4: "I"}  # SHORT, as the standard says, and LONG, as some write it

# How a camera held in that way stores the upright picture (EXIF 2.32, tag 0x0112): what gives a view of
# (H, W, 3) in which row y is row y of the file.
_AS_STORED: dict[int, Callable[[NDArray[np.uint8]], NDArray[np.uint8]]] = {
    1: lambda upright: upright,
    2: lambda upright: upright[:, ::-1],
    3: lambda upright: upright[::-1, ::-1],
    4: lambda upright: upright[::-1],
    5: lambda upright: upright.transpose(1, 0, 2),
    6: lambda upright: upright.transpose(1, 0, 2)[::-1],
    7: lambda upright: upright.transpose(1, 0, 2)[::-1, ::-1],
    8: lambda upright: upright.transpose(1, 0, 2)[:, ::-1],
}


def read_orientation(exif: bytes) -> int:
    """Tag 0x0112 of the first directory (EXIF 2.32, 4.6.4): 1 to 8; 1 where it can't be read.

    A camera's broken notes don't make the picture unreadable.
    """
    tiff = exif.removeprefix(b"Exif\0\0")
    order = {b"II*\0": "<", b"MM\0*": ">"}.get(tiff[:4])
    if order is None:
        return UPRIGHT
    try:
        (directory,) = struct.unpack_from(f"{order}I", tiff, 4)
        (entries,) = struct.unpack_from(f"{order}H", tiff, directory)
        for at in range(directory + 2, directory + 2 + 12 * entries, 12):
            tag, kind = struct.unpack_from(f"{order}HH", tiff, at)
            if tag == _ORIENTATION and kind in _FORMATS:
                (value,) = struct.unpack_from(order + _FORMATS[kind], tiff, at + 8)
                return value if 1 <= value <= 8 else UPRIGHT
    except struct.error:
        return UPRIGHT
    return UPRIGHT


def canvas(width: int, height: int, orientation: int) -> tuple[NDArray[np.uint8], NDArray[np.uint8]]:
    """Room for an upright picture, and the (height, width, 3) view of it that is as the file has it."""
    upright = np.empty((height, width, 3) if orientation < 5 else (width, height, 3), np.uint8)
    return upright, _AS_STORED[orientation](upright)


def turned(pixels: NDArray[np.uint8], orientation: int) -> NDArray[np.uint8]:
    """(h, w, 3) as the file has it, upright; a copy unless it is."""
    if orientation == UPRIGHT:
        return pixels
    height, width, _ = pixels.shape
    upright, as_stored = canvas(width, height, orientation)
    as_stored[:] = pixels
    return upright
