import struct
import zlib
from io import BytesIO
from typing import Any

import numpy as np
import pytest
import torch
from PIL import Image, ImageChops

from recommender.errors import ImageNotDecodable, ImageTooLarge
from recommender.images import decode as decoding
from recommender.images import pillow
from recommender.images.budget import Budget
from recommender.images.decode import decoded, thumbnail
from tests.unit.recommender.images.hostile import chunk, segment, with_segments, without_segment
from tests.unit.recommender.images.hostile import png as png_of
from tests.whole_image import decode

RED, GREEN, BLUE, WHITE = (255, 0, 0), (0, 255, 0), (0, 0, 255), (255, 255, 255)
LOSSY = 12  # what JPEG and its kin may change in a flat area


def saved(image: Image.Image, file_format: str, **options: Any) -> bytes:
    file = BytesIO()
    image.save(file, file_format, **options)
    return file.getvalue()


def quarters(mode: str = "RGB", size: tuple[int, int] = (64, 48)) -> Image.Image:
    """Red, green / blue, white: every flip and turn of it is another picture."""
    width, height = size
    image = Image.new("RGB", size, "white")
    image.paste(RED, (0, 0, width // 2, height // 2))
    image.paste(GREEN, (width // 2, 0, width, height // 2))
    image.paste(BLUE, (0, height // 2, width // 2, height))
    return image.convert(mode)


def pixels_of(data: bytes, max_pixels: int = 10**6) -> torch.Tensor:
    return decode(data, name="s3://shop/a.jpg", max_pixels=max_pixels)


def corners(pixels: torch.Tensor) -> list[tuple[int, ...]]:
    """The colours in the middle of the four quarters, row by row."""
    _, h, w = pixels.shape
    return [tuple(pixels[:, y, x].tolist()) for y in (h // 4, 3 * h // 4) for x in (w // 4, 3 * w // 4)]


def assert_close(found: list[tuple[int, ...]], expected: list[tuple[int, ...]], within: int = 0) -> None:
    assert np.abs(np.array(found) - np.array(expected)).max() <= within, found


def png(pixels: np.ndarray, colour_type: int, transparent: bytes | None = None) -> bytes:
    """A PNG of 16 bits a sample, which Pillow can't write in colour (ISO/IEC 15948)."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        return struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data))

    height, width = pixels.shape[:2]
    header = chunk(b"IHDR", struct.pack(">IIBBBBB", width, height, 16, colour_type, 0, 0, 0))
    rows = b"".join(b"\0" + row.astype(">u2").tobytes() for row in pixels)
    between = chunk(b"tRNS", transparent) if transparent else b""
    return b"\x89PNG\r\n\x1a\n" + header + between + chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")


@pytest.mark.parametrize(
    ("file_format", "options", "within"),
    [
        ("JPEG", {"quality": 95}, LOSSY),
        ("JPEG", {"quality": 95, "progressive": True}, LOSSY),
        ("PNG", {}, 0),
        ("WEBP", {"lossless": True}, 0),
        ("WEBP", {"quality": 95}, LOSSY),
        ("GIF", {}, 0),
        ("AVIF", {"quality": 95}, LOSSY),
    ],
)
def test_every_format_gives_the_pixels_that_were_saved(
    file_format: str, options: dict[str, Any], within: int
) -> None:
    pixels = pixels_of(saved(quarters(), file_format, **options))
    assert pixels.shape == (3, 48, 64)
    assert pixels.dtype == torch.uint8
    assert pixels.permute(1, 2, 0).is_contiguous()
    assert_close(corners(pixels), [RED, GREEN, BLUE, WHITE], within)


@pytest.mark.parametrize("file_format", ["GIF", "WEBP", "PNG", "AVIF"])
def test_of_an_animation_the_first_frame_is_taken(file_format: str) -> None:
    options = {"lossless": True} if file_format == "WEBP" else {}
    later = [Image.new("RGB", (64, 48), "black")]
    pixels = pixels_of(saved(quarters(), file_format, save_all=True, append_images=later, **options))
    assert_close(corners(pixels), [RED, GREEN, BLUE, WHITE], LOSSY)


@pytest.mark.parametrize("mode", ["1", "L", "LA", "P", "RGB", "RGBA"])
def test_png_modes(mode: str) -> None:
    image = quarters(mode)
    pixels = pixels_of(saved(image, "PNG")).permute(1, 2, 0).numpy()
    np.testing.assert_array_equal(pixels, np.asarray(image.convert("RGB")))


def test_cmyk_jpeg_as_adobe_writes_it_inverted() -> None:
    data = saved(quarters("CMYK"), "JPEG", quality=95)
    assert b"Adobe" in data
    assert_close(corners(pixels_of(data)), [RED, GREEN, BLUE, WHITE], LOSSY)


def test_cmyk_jpeg_of_anyone_else() -> None:
    """Without Adobe's marker, 0 is no ink."""
    data = saved(ImageChops.invert(quarters("CMYK")), "JPEG", quality=95)
    assert_close(corners(pixels_of(without_segment(data, 0xEE))), [RED, GREEN, BLUE, WHITE], LOSSY)


@pytest.mark.parametrize("mode", ["RGB", "L", "CMYK"])
@pytest.mark.parametrize("profile", [b"no profile at all", bytes(range(256)) * 2**15])
def test_a_profile_changes_nothing_however_broken_or_huge(mode: str, profile: bytes) -> None:
    plain = saved(quarters(mode), "JPEG")
    assert torch.equal(pixels_of(saved(quarters(mode), "JPEG", icc_profile=profile)), pixels_of(plain))


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "AVIF"])
def test_nor_does_one_of_another_format(file_format: str) -> None:
    pixels = pixels_of(saved(quarters(), file_format, icc_profile=b"no profile", quality=95))
    assert_close(corners(pixels), [RED, GREEN, BLUE, WHITE], LOSSY)


def test_text_that_is_a_bomb_changes_nothing() -> None:
    plain = saved(quarters(), "PNG")
    bomb = chunk(b"zTXt", b"k\0\0" + zlib.compress(bytes(10**7)))
    assert torch.equal(pixels_of(plain[:33] + bomb + plain[33:]), pixels_of(plain))


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "GIF", "WEBP", "AVIF"])
@pytest.mark.parametrize("tail", [b"PK\3\4 an archive", b"<html><script>", b"\xff\xd8\xff\xe0", bytes(10**6)])
def test_what_lies_behind_the_picture_changes_nothing(file_format: str, tail: bytes) -> None:
    if file_format == "AVIF":
        tail = struct.pack(">I4s", 8 + len(tail), b"free") + tail
    pixels = pixels_of(saved(quarters(), file_format, quality=95) + tail)
    assert_close(corners(pixels), [RED, GREEN, BLUE, WHITE], LOSSY)


def test_html_within_an_image_changes_nothing() -> None:
    html = b"*/=1;</style><html><script>alert(1)</script>"
    data = with_segments(saved(quarters(), "JPEG", quality=95), segment(0xFE, html))
    assert_close(corners(pixels_of(data)), [RED, GREEN, BLUE, WHITE], LOSSY)


def test_of_several_pictures_the_first_is_taken() -> None:
    data = saved(quarters(), "MPO", save_all=True, append_images=[Image.new("RGB", (640, 480))], quality=95)
    assert_close(corners(pixels_of(data)), [RED, GREEN, BLUE, WHITE], LOSSY)


def test_an_interlaced_png() -> None:
    """4 x 4 grey pixels in the passes of Adam7 (ISO/IEC 15948, 8.2)."""
    grey = np.arange(0, 160, 10, dtype=np.uint8).reshape(4, 4)
    passes = [grey[0:1, 0:1], grey[0:1, 2:3], grey[2:3, 0::2], grey[0::2, 1::2], grey[1::2]]
    rows = b"".join(b"\0" + row.tobytes() for part in passes for row in part)
    data = png_of(4, 4, chunk(b"IDAT", zlib.compress(rows)), interlaced=1)
    assert torch.equal(pixels_of(data)[1], torch.from_numpy(grey))


def test_a_deflate_stream_that_is_corrupt() -> None:
    rows = bytearray(zlib.compress(bytes(48 * 65)))
    rows[4] ^= 0xFF
    with pytest.raises(ImageNotDecodable, match="corrupt or truncated"):
        pixels_of(png_of(64, 48, chunk(b"IDAT", bytes(rows))))


@pytest.mark.parametrize("colours", [1, 2, 16, 256])
def test_bands_of_rows_make_one_picture(colours: int, monkeypatch: pytest.MonkeyPatch) -> None:
    noise = Image.effect_noise((61, 47), 90).quantize(colours)
    whole = pixels_of(saved(noise, "PNG"))
    monkeypatch.setattr(pillow, "_BAND_PX", 100)
    assert torch.equal(pixels_of(saved(noise, "PNG")), whole)
    np.testing.assert_array_equal(whole.permute(1, 2, 0).numpy(), np.asarray(noise.convert("RGB")))


def test_grey_jpeg() -> None:
    pixels = pixels_of(saved(Image.new("L", (16, 16), 77), "JPEG"))
    assert_close(corners(pixels), [(77, 77, 77)] * 4, 2)


def test_grey_of_16_bits_is_scaled_not_clipped() -> None:
    grey = np.array([[0, 255, 256], [32768, 65279, 65535]], dtype=np.uint16)
    pixels = pixels_of(saved(Image.fromarray(grey), "PNG"))
    assert pixels[0].tolist() == [[0, 0, 1], [128, 254, 255]]
    assert torch.equal(pixels[0], pixels[2])


def test_transparent_grey_of_16_bits_is_white() -> None:
    grey = np.array([[1000, 40000]], dtype=np.uint16)
    assert pixels_of(png(grey, 0, struct.pack(">H", 1000)))[0].tolist() == [[255, 156]]


def test_colour_of_16_bits() -> None:
    colour = np.array([[[65535, 32768, 0], [256, 511, 512]]], dtype=np.uint16)
    assert pixels_of(png(colour, 2)).permute(1, 2, 0).tolist() == [[[255, 128, 0], [1, 1, 2]]]


@pytest.mark.parametrize("file_format", ["PNG", "WEBP", "AVIF"])
def test_alpha_is_composited_onto_white(file_format: str) -> None:
    image = Image.new("RGBA", (16, 16), (200, 0, 0, 128))
    options = {"lossless": True} if file_format == "WEBP" else {}
    half = 128 / 255
    expected = (round(200 * half + 255 * (1 - half)), round(255 * (1 - half)), round(255 * (1 - half)))
    assert_close(corners(pixels_of(saved(image, file_format, **options))), [expected] * 4, 4)


def test_what_hides_under_full_transparency_is_white() -> None:
    image = Image.new("RGBA", (16, 16), (0, 0, 0, 0))
    assert pixels_of(saved(image, "PNG")).min() == 255


def test_grey_with_alpha_onto_white() -> None:
    assert pixels_of(saved(Image.new("LA", (4, 4), (0, 51)), "PNG")).unique().tolist() == [204]


@pytest.mark.parametrize("file_format", ["PNG", "GIF"])
def test_transparent_palette_entry_is_white(file_format: str) -> None:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([10, 20, 30, 200, 100, 50])
    image.paste(0, (0, 0, 8, 16))
    pixels = pixels_of(saved(image, file_format, transparency=0))
    assert_close(corners(pixels), [WHITE, (200, 100, 50)] * 2)


def test_palette_with_an_alpha_for_each_entry() -> None:
    image = Image.new("P", (16, 16), 1)
    image.putpalette([0, 0, 0, 0, 0, 0])
    image.paste(0, (0, 0, 8, 16))
    pixels = pixels_of(saved(image, "PNG", transparency=bytes([255, 51])))
    assert_close(corners(pixels), [(0, 0, 0), (204, 204, 204)] * 2)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF"])
@pytest.mark.parametrize("orientation", range(1, 9))
def test_every_exif_orientation_is_set_upright(orientation: int, file_format: str) -> None:
    # How a camera held in that way would have stored the upright picture (EXIF 2.32, tag 0x0112).
    as_stored = {
        1: lambda image: image,
        2: lambda image: image.transpose(Image.Transpose.FLIP_LEFT_RIGHT),
        3: lambda image: image.transpose(Image.Transpose.ROTATE_180),
        4: lambda image: image.transpose(Image.Transpose.FLIP_TOP_BOTTOM),
        5: lambda image: image.transpose(Image.Transpose.TRANSPOSE),
        6: lambda image: image.transpose(Image.Transpose.ROTATE_90),
        7: lambda image: image.transpose(Image.Transpose.TRANSVERSE),
        8: lambda image: image.transpose(Image.Transpose.ROTATE_270),
    }[orientation](quarters())
    exif = Image.Exif()
    exif[0x0112] = orientation
    pixels = pixels_of(saved(as_stored, file_format, exif=exif, quality=95))
    assert pixels.shape == (3, 48, 64)
    assert_close(corners(pixels), [RED, GREEN, BLUE, WHITE], LOSSY)


def test_broken_exif_does_not_make_a_picture_unreadable() -> None:
    data = saved(quarters(), "JPEG", quality=95, exif=b"Exif\0\0 not a TIFF header at all")
    assert_close(corners(pixels_of(data)), [RED, GREEN, BLUE, WHITE], LOSSY)


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
def test_truncated(file_format: str) -> None:
    noise = Image.fromarray(np.random.default_rng(0).integers(0, 256, (64, 64, 3), dtype=np.uint8))
    data = saved(noise, file_format)
    with pytest.raises(ImageNotDecodable, match=r"^s3://shop/a\.jpg: "):
        pixels_of(data[: len(data) // 2])


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><title>404</title>", "HTML"),
        (b"\n <?xml version='1.0'?><svg/>", "HTML or XML"),
        (b"%PDF-1.7 and so on", "starts with b'%PDF-1.7"),
    ],
)
def test_what_is_no_image_says_what_it_is(data: bytes, reason: str) -> None:
    with pytest.raises(ImageNotDecodable, match=reason):
        pixels_of(data)


@pytest.mark.parametrize("file_format", ["BMP", "TIFF", "PPM"])
def test_other_formats_are_refused(file_format: str) -> None:
    with pytest.raises(ImageNotDecodable, match="not a JPEG, PNG, WebP, GIF or AVIF"):
        pixels_of(saved(quarters(), file_format))


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "GIF", "AVIF"])
def test_the_pixel_limit_holds_for_every_format(file_format: str) -> None:
    data = saved(quarters(), file_format)
    pixels_of(data, max_pixels=64 * 48)
    with pytest.raises(ImageTooLarge, match="64 x 48 pixels, more than the 3071"):
        pixels_of(data, max_pixels=64 * 48 - 1)


def bomb_png() -> bytes:
    header = struct.pack(">IIBBBBB", 60_000, 60_000, 8, 2, 0, 0, 0)
    return b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(d)) + k + d + struct.pack(">I", zlib.crc32(k + d))
        for k, d in [(b"IHDR", header), (b"IDAT", b"no pixels"), (b"IEND", b"")]
    )


def bomb_webp(lossless: bool) -> bytes:
    plain = bytearray(saved(Image.new("RGB", (8, 8)), "WEBP", lossless=lossless))
    if lossless:
        plain[21:25] = (0x3FFE | 0x3FFE << 14).to_bytes(4, "little")
    else:
        plain[26:30] = struct.pack("<HH", 16383, 16383)
    return bytes(plain)


@pytest.mark.parametrize("data", [bomb_png(), bomb_webp(True), bomb_webp(False)])
def test_a_bomb_is_refused_by_its_header(data: bytes) -> None:
    """The pixels are rubbish, so only a check that comes before decoding can say TooLarge."""
    with pytest.raises(ImageTooLarge, match=r"60000 x 60000|16383 x 16383"):
        pixels_of(data, max_pixels=64_000_000)


def test_an_extended_webp_is_refused_by_its_canvas() -> None:
    exif = Image.Exif()
    exif[0x0112] = 1
    extended = bytearray(saved(Image.new("RGB", (8, 8)), "WEBP", exif=exif))
    assert extended[12:16] == b"VP8X"
    extended[24:30] = (39_999).to_bytes(3, "little") * 2
    with pytest.raises(ImageTooLarge, match="40000 x 40000"):
        pixels_of(bytes(extended))


def test_a_large_image_within_the_limit_passes_without_a_warning() -> None:
    large = Image.new("1", (16_000, 12_000))  # 192 million pixels: over Pillow's own limit
    with pytest.raises(ImageTooLarge):
        pixels_of(saved(large, "PNG"), max_pixels=192_000_000 - 1)
    assert thumbnail(saved(large, "PNG"), name="large", px=16, max_pixels=192_000_000)


def test_a_jpeg_at_a_fraction_is_upright_too() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6  # stored a quarter turn to the left
    stored = quarters(size=(640, 480)).transpose(Image.Transpose.ROTATE_90)
    data = saved(stored, "JPEG", exif=exif, quality=95)
    with decoded(data, name="a", max_pixels=10**6, min_side_px=120) as pixels:
        assert pixels.shape == (3, 120, 160)
        assert_close(corners(pixels), [RED, GREEN, BLUE, WHITE], LOSSY)


def test_a_jpeg_of_two_sizes_is_refused_whichever_fits() -> None:
    """Pillow believes the last frame header, libjpeg the first."""
    data = saved(quarters(), "JPEG")
    frame = data.index(b"\xff\xc0")
    length = 2 + int.from_bytes(data[frame + 2 : frame + 4])
    other = bytearray(data[frame : frame + length])
    other[5:9] = struct.pack(">HH", 480, 640)
    for at in (frame, frame + length):
        with pytest.raises(ImageNotDecodable):
            pixels_of(data[:at] + bytes(other) + data[at:])


def test_pixels_count_while_they_are_in_hand(monkeypatch: pytest.MonkeyPatch) -> None:
    budget, files = Budget(), Budget()
    monkeypatch.setattr(decoding, "_PIXELS", budget)
    monkeypatch.setattr(decoding, "_FILES", files)
    data = saved(quarters(), "PNG")
    with decoded(data, name="a", max_pixels=10**6) as pixels:
        assert pixels.shape == (3, 48, 64)
        assert (budget._in_hand, files._in_hand) == (48 * 64, len(data))
    assert budget._in_hand == 0
    with pytest.raises(ImageNotDecodable):
        pixels_of(data[:-30])
    with pytest.raises(ZeroDivisionError), decoded(data, name="a", max_pixels=10**6):
        1 / 0  # noqa: B018  # what happens to pixels is no fault of the file's
    thumbnail(data, name="a", px=8, max_pixels=10**6)
    assert (budget._in_hand, files._in_hand) == (0, 0)


@pytest.mark.parametrize(
    ("size", "px", "expected"),
    [
        ((640, 480), 160, (160, 120)),
        ((480, 640), 160, (120, 160)),
        ((100, 50), 1024, (100, 50)),
    ],
)
def test_a_thumbnail_fits_and_is_never_enlarged(
    size: tuple[int, int], px: int, expected: tuple[int, int]
) -> None:
    jpeg = thumbnail(saved(quarters(size=size), "JPEG"), name="a", px=px, max_pixels=10**6)
    with Image.open(BytesIO(jpeg)) as small:
        assert (small.format, small.mode, small.size) == ("JPEG", "RGB", expected)
    assert_close(corners(pixels_of(jpeg)), [RED, GREEN, BLUE, WHITE], 2 * LOSSY)


def test_a_thumbnail_is_upright_and_on_white() -> None:
    exif = Image.Exif()
    exif[0x0112] = 6
    sideways = Image.new("RGBA", (200, 100), (0, 0, 0, 0))
    jpeg = thumbnail(saved(sideways, "PNG", exif=exif), name="a", px=64, max_pixels=10**6)
    assert pixels_of(jpeg).shape == (3, 64, 32)
    assert pixels_of(jpeg).min() >= 250


def test_a_thumbnail_names_what_it_could_not_read() -> None:
    with pytest.raises(ImageNotDecodable, match=r"^photo of the day: "):
        thumbnail(b"nothing", name="photo of the day", px=64, max_pixels=10**6)
