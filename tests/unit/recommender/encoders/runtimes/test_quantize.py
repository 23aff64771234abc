"""The images that int8 is calibrated on."""

from pathlib import Path
from shutil import copy

import pytest

from config.settings import ConfigurationError
from recommender.encoders.registry import spec_of
from recommender.encoders.runtimes import quantize
from recommender.encoders.runtimes.quantize import read_calibration
from tests.photos import photos

P = spec_of("compact").preprocessing


def fill(folder: Path, count: int) -> Path:
    (folder / "below").mkdir()
    for photo in photos()[:count]:
        copy(photo.path, folder / "below")
    return folder


def test_the_images_are_read_and_told_from_others(tmp_path: Path) -> None:
    found = read_calibration(fill(tmp_path, 16), P)
    assert found.pixels.shape == (16, 3, P.input_px, P.input_px)
    copy(photos()[16].path, tmp_path)
    assert read_calibration(tmp_path, P).sha256 != found.sha256


def test_of_many_images_as_many_as_it_says_are_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quantize, "_MOST", 18)
    assert len(read_calibration(fill(tmp_path, 19), P).pixels) == 18


def test_a_folder_must_be_named() -> None:
    with pytest.raises(ConfigurationError, match="set LOOKALIKE_ENCODER__CALIBRATION"):
        read_calibration(None, P)


def test_too_few_images_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="has 15 images; int8 needs 16"):
        read_calibration(fill(tmp_path, 15), P)


def test_an_image_that_can_not_be_decoded_is_named(tmp_path: Path) -> None:
    (fill(tmp_path, 16) / "broken.jpg").write_bytes(b"no image")
    with pytest.raises(ConfigurationError, match=r"CALIBRATION: .*broken\.jpg"):
        read_calibration(tmp_path, P)
