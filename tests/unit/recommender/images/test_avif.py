import struct
from typing import Any

import pytest
from PIL import Image

from recommender.images.avif import Unreadable, coded_pixels
from tests.unit.recommender.images.hostile import flat, lying_avif, saved


@pytest.mark.parametrize("size", [(1, 1), (8, 8), (300, 200), (30_000, 10)])
def test_a_still_has_the_pixels_that_it_says(size: tuple[int, int]) -> None:
    assert coded_pixels(flat("AVIF", *size)) == size[0] * size[1]


def test_alpha_counts() -> None:
    assert coded_pixels(saved(Image.new("RGBA", (64, 48), (9, 9, 9, 9)), "AVIF")) == 2 * 64 * 48


def test_a_header_that_lies_does_not() -> None:
    assert coded_pixels(lying_avif(300)) == 300 * 300


def test_a_frame_of_a_sequence_may_be_as_large_as_its_bits_allow() -> None:
    frames = [Image.new("RGB", (64, 48), "red")]
    sequence = saved(Image.new("RGB", (64, 48)), "AVIF", save_all=True, append_images=frames)
    assert coded_pixels(sequence) == 64 * 64


def test_metadata_is_no_picture() -> None:
    exif = Image.Exif()
    exif[0x010F] = "a camera"
    assert coded_pixels(saved(Image.new("RGB", (64, 48)), "AVIF", exif=exif)) == 64 * 48


def box(kind: bytes, *parts: bytes) -> bytes:
    return struct.pack(">I4s", 8 + sum(map(len, parts)), kind) + b"".join(parts)


def container(items: bytes, locations: bytes, *more: bytes) -> bytes:
    return box(b"ftyp", b"avif" + bytes(4)) + box(
        b"meta", bytes(4), box(b"iinf", bytes(4), struct.pack(">H", 1), items), box(b"iloc", locations), *more
    )


ITEM = box(b"infe", b"\2\0\0\0", struct.pack(">HH", 1, 0), b"av01")


def location(*extents: tuple[int, int], method: int = 0, version: int = 1) -> bytes:
    said = struct.pack(">BBH", version, 0, 0) + struct.pack(">BBH", 0x44, 0, 1)
    said += struct.pack(">HHHH", 1, method, 0, len(extents))
    return said + b"".join(struct.pack(">II", *extent) for extent in extents)


# A sequence header in full, with timing and a decoder model: 4 operating points, 10 and 9 bits of size.
FULL_HEADER: tuple[tuple[int, int], ...] = (
    (0, 5),  # profile, no still picture, not reduced
    (1, 1),
    (1, 32),
    (2, 32),
    (1, 1),
    (0b00101, 5),  # a number in Exp-Golomb code: two zeros, a one, two bits
    (1, 1),
    (9, 5),
    (0, 42),
    (1, 1),
    (3, 5),
    *(pair for _ in range(4) for pair in ((0, 12), (9, 5), (0, 1), (1, 1), (0, 21), (1, 1), (0, 4))),
    (9, 4),
    (8, 4),
    (639, 10),
    (479, 9),
)


def bits(*pairs: tuple[int, int]) -> bytes:
    text = "".join(f"{value:0{width}b}" for value, width in pairs)
    text += "0" * (-len(text) % 8)
    return int(text, 2).to_bytes(len(text) // 8)


def test_a_sequence_header_in_full() -> None:
    header = bits(*FULL_HEADER)
    unit = bytes((1 << 3 | 2, len(header))) + header
    data = container(ITEM, location((0, len(unit)), method=1), box(b"idat", unit))
    assert coded_pixels(data) == 2**10 * 2**9


def test_the_largest_of_several_headers_in_several_pieces_counts() -> None:
    def unit(width: int) -> bytes:
        header = bits((0, 3), (1, 1), (1, 1), (0, 5), (11, 4), (11, 4), (width - 1, 12), (9, 12))
        return bytes((1 << 3 | 4 | 2, 0, len(header))) + header

    units = unit(10) + unit(4000) + unit(20)
    pieces = location((0, 5), (5, len(units) - 5), method=1)
    assert coded_pixels(container(ITEM, pieces, box(b"idat", units))) == 4000 * 10


@pytest.mark.parametrize(
    "data",
    [
        flat("AVIF", 8, 8)[:100],
        container(ITEM, location((0, 100), method=2)),
        container(ITEM, location(*[(0, 100)] * 50)),
        container(ITEM, location((0, 9), version=3)),
        container(ITEM, struct.pack(">IBBH", 0, 0x44, 0, 5000)),
        container(ITEM, location((0, 4), method=1), box(b"idat", b"\x0a\xff\xff\xff\xff")),
        container(ITEM, location((0, 20), method=1), box(b"idat", b"\x0a" + b"\xff" * 20)),
        container(ITEM, location((0, 2), method=1), box(b"idat", b"\x0a\x01")),
        box(b"meta", bytes(4)),
        box(b"meta", bytes(4)) + b"\0\0\0\1meta" + b"\xff" * 8,
        box(b"free") * 5000,
    ],
)
def test_what_makes_no_sense(data: bytes) -> None:
    with pytest.raises(Unreadable):
        coded_pixels(data)


@pytest.mark.parametrize(
    "options", [{"subsampling": "4:4:4"}, {"quality": 100}, {"range": "limited"}, {"tile_cols": 2}]
)
def test_what_an_encoder_may_choose_changes_nothing(options: dict[str, Any]) -> None:
    assert coded_pixels(saved(Image.new("RGB", (640, 480)), "AVIF", speed=10, **options)) == 640 * 480
