from typing import Any

import pytest
from PIL import Image

from recommender.images.strip import MAX_SCANS, Malformed, strip
from tests.unit.recommender.images.hostile import (
    chunk,
    flat,
    gif_with_comment,
    png,
    repeated_scans,
    saved,
    segment,
    with_segments,
    zeros,
)

SECRET = b"what no decoder needs to see"


def turned(orientation: int) -> Image.Exif:
    exif = Image.Exif()
    exif[0x0112] = orientation
    return exif


@pytest.mark.parametrize("options", [{}, {"progressive": True}, {"restart_marker_blocks": 1}])
def test_of_a_jpeg_tables_and_scans_are_left(options: dict[str, Any]) -> None:
    picture = Image.effect_noise((64, 48), 50)
    plain = saved(picture, "JPEG", **options)
    full = saved(picture, "JPEG", exif=turned(6), icc_profile=SECRET, comment=SECRET, **options)
    full = with_segments(full, segment(0xED, b"Photoshop 3.0\0" + SECRET), b"\xff\xff\xff\xff")
    stripped = strip(full + b"PK\3\4" + SECRET)
    assert stripped.data == plain
    assert stripped.orientation == 6
    assert stripped.scans == (6 if "progressive" in options else 1)


def test_what_tells_the_colours_of_a_jpeg_is_left() -> None:
    inverted = saved(Image.new("CMYK", (8, 8)), "JPEG")
    assert b"Adobe" in strip(inverted).data
    assert b"JFIF" in strip(flat("JPEG", 8, 8)).data


def test_a_thumbnail_in_a_jpeg_is_no_scan_of_it() -> None:
    thumbnail = saved(Image.new("L", (8, 8)), "JPEG", progressive=True)
    within = with_segments(flat("JPEG", 8, 8), segment(0xE2, b"MPF\0" + thumbnail))
    assert strip(within).scans == 1
    assert strip(flat("JPEG", 8, 8) + thumbnail).scans == 1


def test_an_end_that_is_none_hides_no_scans() -> None:
    """Bytes that look like the end, inside of a segment between two scans."""
    hidden = segment(0xFE, b"\xff\xd9")
    jpeg = repeated_scans(8, 20)
    last = jpeg.rindex(b"\xff\xda")
    assert strip(jpeg[:last] + hidden + jpeg[last:]).scans == 20


def test_scans_are_counted() -> None:
    assert strip(repeated_scans(8, MAX_SCANS)).scans == MAX_SCANS
    with pytest.raises(Malformed, match=f"more than {MAX_SCANS} scans"):
        strip(repeated_scans(8, MAX_SCANS + 1))


def test_of_a_png_the_pixels_are_left() -> None:
    pixels = (chunk(b"PLTE", bytes(6)), chunk(b"tRNS", b"\0"), chunk(b"IDAT", zeros(72)))
    plain = png(8, 8, *pixels, colour=3)
    notes = [chunk(kind, SECRET) for kind in (b"tEXt", b"iCCP", b"acTL", b"fcTL", b"fdAT", b"abCd")]
    full = png(8, 8, *notes, *pixels, *notes, chunk(b"eXIf", turned(3).tobytes()), colour=3)
    stripped = strip(full + b"PK\3\4" + SECRET)
    assert stripped.data == plain
    assert stripped.orientation == 3


def test_of_a_gif_what_lies_before_the_image_is_dropped() -> None:
    plain = saved(Image.new("P", (8, 8)), "GIF", transparency=1)
    at = plain.index(b"!\xf9")
    comment = b"!\xfe" + bytes((len(SECRET),)) + SECRET + b"\0"
    assert strip(plain[:at] + comment + plain[at:]).data == plain
    assert strip(plain[: at + 8] + comment + b"\0\0\0" + plain[at + 8 :]).data == plain


@pytest.mark.parametrize("gif", [b"GIF89a", flat("GIF", 8, 8)[:13] + b";", gif_with_comment(300_000)])
def test_a_gif_without_an_image(gif: bytes) -> None:
    with pytest.raises(Malformed):
        strip(gif)


@pytest.mark.parametrize("file_format", ["WEBP", "AVIF"])
def test_others_are_left_as_they_are(file_format: str) -> None:
    data = flat(file_format, 8, 8)
    assert strip(data).data == data


def test_a_sequence_passes_for_a_still() -> None:
    frames = [Image.new("RGB", (8, 8), "red")]
    sequence = saved(Image.new("RGB", (8, 8)), "AVIF", save_all=True, append_images=frames)
    assert sequence[8:12] == b"avis"
    assert strip(sequence).data[8:12] == b"avif"
