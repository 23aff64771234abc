"""Resizing and cropping, pixel by pixel, against Pillow; against the libraries: test_against_libraries.py."""

from collections.abc import Sequence
from io import BytesIO
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from torch import Tensor

from config.settings import EncoderSettings
from recommender.encoders.load import load_encoder
from recommender.encoders.preprocess import input_of, to_input
from recommender.encoders.protocol import Preprocessing
from recommender.encoders.registry import REGISTRY
from tests.gates import recall_at_1, top10_overlap
from tests.photos import photos as photos_of_products

NO_NORMALISATION = ((0.0, 0.0, 0.0), (1.0, 1.0, 1.0))
FILTERS = {"bilinear": Image.Resampling.BILINEAR, "bicubic": Image.Resampling.BICUBIC}


def as_tensor(image: Image.Image) -> Tensor:
    return torch.from_numpy(np.array(image)).permute(2, 0, 1)


def by_pillow(image: Image.Image, width: int, height: int, resample: Image.Resampling) -> Image.Image:
    """Resize the horizontal axis first. Pillow before 13 always does; 13 chooses the order by the shape."""
    return image.resize((width, image.height), resample).resize((width, height), resample)


@pytest.mark.parametrize("interpolation", ["bilinear", "bicubic"])
@pytest.mark.parametrize("side", [160, 518])
def test_pixels_are_those_of_pillow(interpolation: str, side: int, photos: Sequence[Image.Image]) -> None:
    p = Preprocessing(side, side, "squash", interpolation, *NO_NORMALISATION)
    for photo in photos[:6]:  # each of another size, larger and smaller than the input
        expected = as_tensor(by_pillow(photo, side, side, FILTERS[interpolation]))
        difference = (to_input(as_tensor(photo), p).int() - expected.int()).abs().float()
        assert difference.max() <= 2  # both compute in fixed point, with weights rounded differently
        assert difference.mean() < 0.01


def test_the_middle_is_cut_out(photos: Sequence[Image.Image]) -> None:
    wide = photos[3]  # 1203 x 401
    p = Preprocessing(200, 232, "crop", "bilinear", *NO_NORMALISATION)
    width = 232 * 1203 // 401
    left, top = round((width - 200) / 2), round((232 - 200) / 2)
    resized = by_pillow(wide, width, 232, Image.Resampling.BILINEAR)
    expected = as_tensor(resized.crop((left, top, left + 200, top + 200)))
    difference = (to_input(as_tensor(wide), p).int() - expected.int()).abs().float()
    assert difference.max() <= 2
    assert difference.mean() < 0.01


@pytest.mark.parametrize("size", [(1, 1), (1, 50_000), (50_000, 1), (2, 3)])
@pytest.mark.parametrize("name", ["resnet50", "compact"])
def test_extreme_shapes_stay_small(name: str, size: tuple[int, int]) -> None:
    p = REGISTRY[name].preprocessing
    pixels = to_input(torch.full((3, *size), 77, dtype=torch.uint8), p)
    assert pixels.shape == (3, p.input_px, p.input_px)
    assert pixels.unique().tolist() == [77]


def test_an_image_of_the_right_size_is_left_as_it_is() -> None:
    p = REGISTRY["clip-vit-b-32"].preprocessing
    image = torch.randint(0, 256, (3, p.input_px, p.input_px), dtype=torch.uint8)
    assert torch.equal(to_input(image, p), image)


def test_the_shortest_way_from_a_file_finds_what_the_reference_finds() -> None:
    """JPEGs at a fraction against Pillow's whole; with trained weights, since random ones say nothing."""
    encoder = load_encoder(EncoderSettings(name="compact", device="cpu", runtime="torch"))
    p = encoder.spec.preprocessing
    files = [(photo.product, even(photo.path)) for photo in photos_of_products()]
    products = [product for product, _ in files]
    whole = torch.stack([to_input(as_tensor(Image.open(BytesIO(data))), p) for _, data in files])
    short = torch.stack([input_of(data, name="photo", p=p, max_pixels=10**7) for _, data in files])
    assert (whole != short).flatten(1).any(1).float().mean() > 0.5  # most were decoded at a fraction
    rows, short_rows = encoder.encode_images(whole), encoder.encode_images(short)
    assert top10_overlap(rows, short_rows) >= 0.98
    assert recall_at_1(short_rows, products) >= recall_at_1(rows, products) - 0.003


def even(path: Path) -> bytes:
    """The photo without the pixels beyond a multiple of 8, so that any fraction may be decoded."""
    with Image.open(path) as photo:
        file = BytesIO()
        photo.crop((0, 0, photo.width // 8 * 8, photo.height // 8 * 8)).save(file, "JPEG", quality=90)
    return file.getvalue()
