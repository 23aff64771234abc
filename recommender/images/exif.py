"""The one thing that is read from EXIF: which side is up."""

import struct

UPRIGHT = 1
_ORIENTATION = 0x0112
_FORMATS = {3: "H", 4: "I"}  # SHORT, as the standard says, and LONG, as some write it


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
