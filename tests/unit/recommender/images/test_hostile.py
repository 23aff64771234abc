"""Images that hurt, each in a process of its own: killed after 10 s, its memory measured."""

from collections.abc import Callable

import numpy as np
import pytest

from recommender.errors import ImageError
from recommender.images.decode import BYTES_PER_PIXEL, COPIES_OF_THE_FILE
from tests.unit.recommender.images.hostile import CASES, FORMATS, flat, read
from tests.whole_image import decode

SLACK_BYTES = (
    64 * 2**20
)  # tables and buffers of the decoders, and a band of pixels whose colours are converted


@pytest.mark.parametrize(("outcome", "make"), CASES.values(), ids=CASES.keys())
def test_it_ends_as_pixels_or_as_a_typed_error(outcome: str, make: Callable[[], bytes]) -> None:
    data = make()
    ending = read(data)
    assert ending.outcome == outcome, ending
    width, height = map(int, ending.said.split(" x ")) if outcome == "pixels" else (0, 0)
    bound = BYTES_PER_PIXEL * width * height + COPIES_OF_THE_FILE * len(data) + SLACK_BYTES
    assert ending.peak_bytes <= bound, ending


@pytest.mark.parametrize("file_format", FORMATS)
def test_cut_off_anywhere(file_format: str) -> None:
    data = flat(file_format, 16, 12)
    for end in range(len(data)):
        try:
            pixels = decode(data[:end], name="cut", max_pixels=10**6)
        except ImageError:
            continue
        assert pixels.shape == (3, 12, 16), end


@pytest.mark.parametrize("file_format", FORMATS)
def test_any_bit_turned(file_format: str) -> None:
    data = flat(file_format, 16, 12)
    for at in range(len(data)):
        turned = bytearray(data)
        turned[at] ^= 1 << at % 8
        try:
            pixels = decode(bytes(turned), name="turned", max_pixels=10**6)
        except ImageError:
            continue
        assert pixels.shape[0] == 3, at


def test_random_bytes() -> None:
    rng = np.random.default_rng(0)
    for magic in (
        b"",
        b"\xff\xd8\xff\xe0",
        b"\x89PNG\r\n\x1a\n",
        b"GIF89a",
        b"RIFF\x50\0\0\0WEBPVP8 ",
        b"\0\0\0 ftypavif",
    ):
        for _ in range(50):
            with pytest.raises(ImageError):
                decode(magic + rng.bytes(200), name="random", max_pixels=10**6)
