"""The encoder in the box: the shipped weights mean something, and the way to them works."""

import sys
from importlib import resources
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw

from config.settings import EncoderSettings
from recommender.encoders import compact
from recommender.encoders.compact import train
from recommender.encoders.compact.photos import STORED_PX, list_photos, load_squashed, split_photos
from recommender.encoders.load import load_encoder
from recommender.encoders.preprocess import to_input
from worker.demo.catalog import make_catalog
from worker.demo.draw import draw


def test_the_weights_are_in_the_package_and_small() -> None:
    assert 0 < resources.files(compact).joinpath("compact.safetensors").stat().st_size <= 12_000_000  # type: ignore[attr-defined]


@pytest.mark.parametrize("name", ["compact", "compact-128"])
def test_the_nearest_neighbour_of_a_drawn_product_is_often_of_its_shape(name: str) -> None:
    encoder = load_encoder(EncoderSettings(name=name, device="cpu", runtime="torch"))
    products = make_catalog(60, 5)
    pixels = [
        to_input(
            torch.from_numpy(np.asarray(draw(product, product.views[0]).convert("RGB")).copy()).permute(
                2, 0, 1
            ),
            encoder.spec.preprocessing,
        )
        for product in products
    ]
    rows = encoder.encode_images(torch.stack(pixels))
    assert rows.shape == (60, encoder.spec.dimension)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), 1, atol=1e-5)
    cosines = rows @ rows.T
    np.fill_diagonal(cosines, -2)
    hits = [products[a].category == products[b].category for a, b in enumerate(cosines.argmax(axis=1))]
    assert np.mean(hits) > 0.4, "chance is 0.1"


def _photo(path: Path, label: str, seed: int) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    dice = np.random.default_rng(seed)
    image = Image.fromarray(dice.integers(0, 256, (8, 8, 3), dtype=np.uint8)).resize(
        (64, 48), Image.Resampling.NEAREST
    )
    pen = ImageDraw.Draw(image)
    (pen.ellipse if label == "round" else pen.rectangle)((16, 8, 48, 40), fill="white")
    image.save(path)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for place, label in enumerate(("round", "square")):
        for number in range(40):
            _photo(tmp_path / "photos" / "train" / label / f"{number}.png", label, place * 100 + number)
        for number in range(6):
            _photo(tmp_path / "photos" / "val" / label / f"{number}.png", label, place * 100 + 50 + number)
    return tmp_path / "photos"


def test_a_training_photo_that_is_a_validation_photo_too_is_left_out(folder: Path) -> None:
    _photo(folder / "train" / "round" / "again.png", "round", 50)
    photos = list_photos([f"shapes={folder}"])
    split = split_photos(photos, load_squashed(photos, STORED_PX))
    assert [
        photo.path.name
        for row, photo in enumerate(photos)
        if photo.part == "train" and row not in split.train
    ] == ["again.png"]
    assert sorted(split.choosing + split.held_back) == [
        row for row, photo in enumerate(photos) if photo.part == "validation"
    ]
    assert len(split.held_back) == 8
    again = list(reversed(photos))
    assert split_photos(again, load_squashed(again, STORED_PX)).sha256 == split.sha256


def test_a_folder_without_validation_photos_is_refused(tmp_path: Path) -> None:
    _photo(tmp_path / "train" / "round" / "1.png", "round", 1)
    with pytest.raises(ValueError, match="validation"):
        list_photos([f"shapes={tmp_path}"])


def test_one_command_from_photos_to_weights_that_load(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "own.safetensors"
    monkeypatch.setattr(train, "CYCLES", (train.Cycle(1, 1, 0.05), train.Cycle(1, 0, 0.05)))
    monkeypatch.setattr(sys, "argv", ["train", "--photos", f"shapes={folder}", "--out", str(out)])
    train.main()
    assert "3 of 3: R@1 of the photos to choose by: shapes " in capsys.readouterr().out
    encoder = load_encoder(EncoderSettings(weights=str(out), device="cpu", runtime="torch"))
    rows = encoder.encode_images(torch.zeros(1, 3, 160, 160, dtype=torch.uint8))
    assert np.isfinite(rows).all()
