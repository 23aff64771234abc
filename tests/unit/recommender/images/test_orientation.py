import struct

import pytest
from PIL import Image

from recommender.images.orientation import read_orientation


def exif(*entries: tuple[int, int, int], order: str = "<", directory: int = 8) -> bytes:
    """A TIFF of one directory; entries of tag, format and value."""
    body = struct.pack(f"{order}H", len(entries)) + b"".join(
        struct.pack(f"{order}HHI", tag, kind, 1) + struct.pack(order + {3: "HH", 4: "I"}[kind], *value)
        for tag, kind, *value in ((t, k, v, 0) if k == 3 else (t, k, v) for t, k, v in entries)
    )
    head = b"II*\0" if order == "<" else b"MM\0*"
    return b"Exif\0\0" + head + struct.pack(f"{order}I", directory) + body


@pytest.mark.parametrize("value", range(1, 9))
@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [3, 4])
def test_every_orientation(value: int, order: str, kind: int) -> None:
    assert read_orientation(exif((0x0100, 4, 7), (0x0112, kind, value), order=order)) == value


def test_as_pillow_writes_it() -> None:
    written = Image.Exif()
    written[0x0112], written[0x010F] = 5, "a camera of some kind"
    assert read_orientation(written.tobytes()) == 5


@pytest.mark.parametrize(
    "broken",
    [
        b"",
        b"Exif\0\0",
        b"Exif\0\0II*\0",
        b"Exif\0\0 not a TIFF header at all",
        exif((0x0112, 3, 0)),
        exif((0x0112, 3, 9)),
        exif((0x0100, 3, 6)),
        exif((0x0112, 3, 6), directory=2**32 - 1),
        exif((0x0112, 3, 6), directory=9),
        exif((0x0112, 3, 6))[:-6],
        b"Exif\0\0II*\0\x08\0\0\0\xff\xff" + bytes(20),
    ],
)
def test_what_can_not_be_read_is_upright(broken: bytes) -> None:
    assert read_orientation(broken) == 1
