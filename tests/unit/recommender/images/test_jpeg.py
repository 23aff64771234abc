"""What libjpeg-turbo gives by itself, against Pillow."""

from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from recommender.images.jpeg import decode_jpeg, jpeg_size
from tests.photos import photos
from tests.unit.recommender.images.hostile import repeated_scans, saved

NOISE = Image.effect_noise((61, 47), 90).convert("RGB")


def by_pillow(data: bytes) -> np.ndarray:
    with Image.open(BytesIO(data)) as image:
        return np.asarray(image.convert("RGB"))


@pytest.mark.parametrize(
    "data",
    [
        *(photo.path.read_bytes() for photo in photos()[::12]),
        saved(NOISE, "JPEG", subsampling="4:4:4"),
        saved(NOISE, "JPEG", subsampling="4:2:2", progressive=True),
        saved(NOISE, "JPEG", keep_rgb=True),
        saved(NOISE, "JPEG", restart_marker_blocks=1),
        saved(NOISE.convert("L"), "JPEG"),
    ],
)
def test_pixels_are_those_of_pillow(data: bytes) -> None:
    pixels = decode_jpeg(data)
    assert pixels is not None
    assert jpeg_size(data) == pixels.shape[1::-1]
    np.testing.assert_array_equal(pixels, by_pillow(data))


@pytest.mark.parametrize(
    "data",
    [
        saved(NOISE.convert("CMYK"), "JPEG"),
        saved(NOISE, "PNG"),
        b"",
        b"\xff\xd8",
        b"\xff\xd8\xff\xd9",
        b"\xff\xd8" + bytes(100),
    ],
)
def test_what_is_left_to_pillow_has_no_size(data: bytes) -> None:
    assert jpeg_size(data) is None


@pytest.mark.parametrize(
    "flawed",
    [
        saved(NOISE, "JPEG")[:-100],
        saved(NOISE, "JPEG")[:-2],
        saved(NOISE, "JPEG")[:-2] + b"stray\xff\xd9",
        repeated_scans(16, 20)[:-2],
    ],
)
def test_what_is_not_flawless_is_not_decoded(flawed: bytes) -> None:
    assert jpeg_size(flawed) is not None
    assert decode_jpeg(flawed) is None


@pytest.mark.parametrize(
    ("size", "min_side_px", "expected"),
    [
        ((640, 480), 240, (320, 240)),
        ((640, 480), 241, (640, 480)),
        ((640, 480), 120, (160, 120)),
        ((640, 480), 60, (80, 60)),
        ((640, 480), 1, (80, 60)),
        ((641, 480), 120, (641, 480)),
        ((642, 480), 60, (321, 240)),
        ((640, 480), None, (640, 480)),
    ],
)
def test_a_fraction_cuts_no_pixel_and_keeps_the_shorter_side(
    size: tuple[int, int], min_side_px: int | None, expected: tuple[int, int]
) -> None:
    pixels = decode_jpeg(saved(Image.linear_gradient("L").resize(size), "JPEG", quality=95), min_side_px)
    assert pixels is not None
    assert pixels.shape == (expected[1], expected[0], 3)
    rows = np.asarray(Image.linear_gradient("L").resize(expected, Image.Resampling.BOX), np.int16)
    assert np.abs(pixels[:, :, 0] - rows).max() <= 3
