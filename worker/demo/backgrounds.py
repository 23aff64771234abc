"""What is behind a product: light and soft, of any hue."""

from collections.abc import Callable
from random import Random

import numpy as np
from PIL import Image, ImageDraw, ImageFilter

Size = tuple[int, int]
_COARSE = 8  # soft things are drawn at an eighth of the size


def plain(r: Random, size: Size) -> Image.Image:
    """One light colour."""
    return Image.new("RGB", size, _tint(r))


def gradient(r: Random, size: Size) -> Image.Image:
    """From one light colour to another, in any direction."""
    corners = Image.new("RGB", (2, 2))
    corners.putdata([_tint(r, 150) for _ in range(4)])
    # The middle half of an enlarged 2 x 2 image is where its four colours blend.
    return corners.resize(size, Image.Resampling.BILINEAR, box=(0.5, 0.5, 1.5, 1.5))


def noise(r: Random, size: Size) -> Image.Image:
    """Grain on one colour, like plaster or paper."""
    width, height = size
    grains = np.random.default_rng(r.getrandbits(32)).normal(0, r.uniform(8, 22), (height // 3, width // 3))
    tint = np.array(_tint(r, 160))
    coarse = np.clip(tint + grains[:, :, None], 0, 255).astype(np.uint8)
    return Image.fromarray(coarse).resize(size, Image.Resampling.BILINEAR)


def shapes(r: Random, size: Size) -> Image.Image:
    """A wall, a floor and things out of focus."""
    width, height = (max(side // _COARSE, 8) for side in size)
    image = Image.new("RGB", (width, height), _tint(r, 140))
    draw = ImageDraw.Draw(image)
    draw.rectangle((0, int(height * r.uniform(0.6, 0.8)), width, height), fill=_tint(r, 110))
    for _ in range(r.randint(3, 7)):
        x, y = r.uniform(0, width), r.uniform(0, height * 0.8)
        across, down = r.uniform(0.05, 0.22) * width, r.uniform(0.05, 0.25) * height
        paint = draw.ellipse if r.random() < 0.5 else draw.rectangle
        paint((x - across, y - down, x + across, y + down), fill=_tint(r, 90))
    soft = image.filter(ImageFilter.GaussianBlur(width * r.uniform(0.02, 0.05)))
    return soft.resize(size, Image.Resampling.BICUBIC)


BACKGROUNDS: dict[str, Callable[[Random, Size], Image.Image]] = {
    "plain": plain,
    "gradient": gradient,
    "noise": noise,
    "shapes": shapes,
}


def _tint(r: Random, darkest: int = 185) -> tuple[int, int, int]:
    """A pale colour: a grey, and a little of any hue."""
    grey = r.randint(darkest, 238)
    red, green, blue = (min(grey + r.randint(-20, 20), 255) for _ in range(3))
    return red, green, blue
