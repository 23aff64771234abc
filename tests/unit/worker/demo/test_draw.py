from dataclasses import replace
from io import BytesIO
from random import Random

import numpy as np
import pytest
from PIL import Image

from worker.demo.catalog import COLOURS, PATTERNS, FileFormat, make_catalog
from worker.demo.draw import draw, encode
from worker.demo.families import FAMILIES, Part

CATALOG = make_catalog(40, seed=3)
ONE_OF_EACH = {product.category: product for product in CATALOG}


def proportioned(category: str, seed: int) -> list[Part]:
    return FAMILIES[category](Random(seed))  # noqa: S311  # to draw with, not to hide with


def pixels(image: Image.Image) -> np.ndarray:
    return np.asarray(image, dtype=np.int16)


@pytest.mark.parametrize("category", FAMILIES)
def test_drawing_is_deterministic(category: str) -> None:
    product = ONE_OF_EACH[category]
    view = product.views[0]
    assert encode(draw(product, view), view) == encode(draw(product, view), view)


@pytest.mark.parametrize("category", FAMILIES)
def test_a_picture_has_the_size_of_its_view_and_shows_something(category: str) -> None:
    product = ONE_OF_EACH[category]
    view = replace(product.views[0], background="plain", width_px=600, height_px=720)
    picture = draw(product, view)
    assert (picture.mode, picture.size) == ("RGB", (600, 720))
    background = pixels(picture)[0, 0]
    covered = (np.abs(pixels(picture) - background).max(axis=2) > 30).mean()
    assert 0.03 < covered < 0.7


@pytest.mark.parametrize("category", FAMILIES)
def test_a_family_varies_in_its_proportions(category: str) -> None:
    one, other = (proportioned(category, seed) for seed in (1, 2))
    assert any(
        a.outline.shape != b.outline.shape or not np.allclose(a.outline, b.outline)
        for a, b in zip(one, other, strict=False)
    )
    for seed in range(50):
        for part in proportioned(category, seed):
            assert np.isfinite(part.outline).all()
            assert part.outline.min() > -0.2
            assert part.outline.max() < 1.2


@pytest.mark.parametrize("colour", COLOURS)
def test_the_colour_of_a_product_is_seen(colour: str) -> None:
    mug = replace(ONE_OF_EACH["kitchen/mugs"], colour=colour, pattern="plain")
    view = replace(mug.views[0], angle_deg=0, mirrored=False, offset=(0.0, 0.0), width_px=600, height_px=600)
    body = pixels(draw(mug, view))[280:330, 250:290].mean(axis=(0, 1))
    named = {name: np.abs(np.array(rgb) * 0.9 - body).sum() for name, rgb in COLOURS.items()}
    assert min(named, key=lambda name: named[name]) == colour


def test_patterns_differ() -> None:
    mug = ONE_OF_EACH["kitchen/mugs"]
    drawn = {encode(draw(replace(mug, pattern=pattern), mug.views[0]), mug.views[0]) for pattern in PATTERNS}
    assert len(drawn) == len(PATTERNS)


def test_views_of_a_product_differ_but_its_shape_and_print_do_not() -> None:
    mug = replace(ONE_OF_EACH["kitchen/mugs"], pattern="dots")
    upright = replace(
        mug.views[0],
        angle_deg=0,
        mirrored=False,
        squeeze=1.0,
        offset=(0.0, 0.0),
        scale=0.6,
        width_px=600,
        height_px=600,
        background="plain",
        seed="a",
    )
    larger = replace(upright, scale=0.9, width_px=800, height_px=800)
    same = draw(mug, larger).resize((400, 400)).crop((80, 80, 320, 320))
    whole = draw(mug, upright).resize((400, 400))
    again = draw(mug, replace(upright, scale=0.9)).resize((400, 400)).crop((80, 80, 320, 320))
    assert np.abs(pixels(same) - pixels(again)).mean() < 4
    assert np.abs(pixels(whole.crop((80, 80, 320, 320))) - pixels(again)).mean() > 10


@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP"])
def test_files_are_what_they_say(file_format: FileFormat) -> None:
    product = CATALOG[0]
    view = replace(product.views[0], file_format=file_format)
    picture = draw(product, view)
    with Image.open(BytesIO(encode(picture, view))) as opened:
        assert opened.format == file_format
        assert np.abs(pixels(opened.convert("RGB")) - pixels(picture)).mean() < 6
