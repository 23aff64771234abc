"""From a product and a view to a picture: deterministic, on the CPU, a few tens of milliseconds."""

import math
from dataclasses import dataclass
from io import BytesIO
from random import Random

import numpy as np
from numpy.typing import NDArray
from PIL import Image, ImageChops, ImageDraw, ImageFilter

from worker.demo.backgrounds import BACKGROUNDS
from worker.demo.catalog import COLOURS, DrawnProduct, Rgb, View
from worker.demo.families import FAMILIES, Part, Role
from worker.demo.outlines import Outline

_SUPERSAMPLING = 2
_SOFT = 4  # light and shadow are computed at a fraction of the size
_FIXED: dict[Role, Rgb] = {
    "light": (244, 241, 234),
    "dark": (52, 48, 52),
    "metal": (176, 181, 190),
    "wood": (158, 112, 70),
}


def draw(product: DrawnProduct, view: View) -> Image.Image:
    """Draw one view of a product: RGB, `width_px` x `height_px`."""
    r = Random(view.seed)  # noqa: S311  # to draw with, not to hide with
    parts = FAMILIES[product.category](Random(product.shape_seed))  # noqa: S311
    place = _placed(view)
    outlines = [place.to_pixels(part.outline) for part in parts]
    canvas = BACKGROUNDS[view.background](r, (view.width_px, view.height_px))
    canvas = _with_shadow(canvas, outlines, place.unit_px)
    for part, outline in zip(parts, outlines, strict=True):
        _paint(canvas, part, outline, product, place)
    return canvas


def encode(image: Image.Image, view: View) -> bytes:
    """The file, in the view's format, at the least effort: the catalog is read once."""
    file = BytesIO()
    match view.file_format:
        case "JPEG":
            image.save(file, "JPEG", quality=88)
        case "PNG":
            image.save(file, "PNG", compress_level=1)
        case "WEBP":
            image.save(file, "WEBP", quality=82, method=0)
    return file.getvalue()


@dataclass(frozen=True, slots=True)
class _Place:
    """How the unit square lies in the picture."""

    matrix: NDArray[np.float64]  # (2, 2): pixels per unit
    centre_px: NDArray[np.float64]
    unit_px: float

    def to_pixels(self, outline: Outline) -> Outline:
        return (outline - 0.5) @ self.matrix.T + self.centre_px

    def to_units(self, left: int, top: int, width: int, height: int) -> tuple[NDArray[np.float32], ...]:
        """The unit coordinates of every pixel of a box: two arrays (height, width)."""
        inverse = np.linalg.inv(self.matrix)
        x = np.arange(left, left + width) - self.centre_px[0]
        y = np.arange(top, top + height) - self.centre_px[1]
        u, v = (
            (row[0] * x)[None, :].astype(np.float32) + (row[1] * y)[:, None].astype(np.float32)
            for row in inverse
        )
        return u + np.float32(0.5), v + np.float32(0.5)


def _placed(view: View) -> _Place:
    unit_px = min(view.width_px, view.height_px) * view.scale
    angle = math.radians(view.angle_deg)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    across = view.squeeze * (-1 if view.mirrored else 1)
    matrix = turn @ np.diag([across, 1.0]) * unit_px
    centre = np.array([view.width_px * (0.5 + view.offset[0]), view.height_px * (0.5 + view.offset[1])])
    return _Place(matrix, centre, unit_px)


def _with_shadow(canvas: Image.Image, outlines: list[Outline], unit_px: float) -> Image.Image:
    """Darken what the product keeps the light from: below it, to the right, blurred."""
    small = (canvas.width // 8, canvas.height // 8)
    shadow = Image.new("L", small, 255)
    pen = ImageDraw.Draw(shadow)
    for outline in outlines:
        pen.polygon(_points((outline + unit_px * np.array([0.03, 0.045])) / 8), fill=120)
    soft = shadow.filter(ImageFilter.GaussianBlur(unit_px * 0.025 / 8)).resize(canvas.size)
    return ImageChops.multiply(canvas, Image.merge("RGB", (soft, soft, soft)))


def _paint(canvas: Image.Image, part: Part, outline: Outline, product: DrawnProduct, place: _Place) -> None:
    left, top = (math.floor(low) - 1 for low in outline.min(axis=0))
    width, height = (
        math.ceil(high) + 2 - low for high, low in zip(outline.max(axis=0), (left, top), strict=True)
    )
    mask = Image.new("L", (width * _SUPERSAMPLING, height * _SUPERSAMPLING))
    local = (outline - (left, top)) * _SUPERSAMPLING
    ImageDraw.Draw(mask).polygon(_points(local), fill=255)
    mask = mask.reduce(_SUPERSAMPLING)
    fill = _fill(part.role, product, place, (left, top, width, height))
    shade, shine = _light(mask)
    lit = ImageChops.screen(ImageChops.multiply(fill, shade), shine)
    canvas.paste(lit, (left, top), mask)


def _fill(role: Role, product: DrawnProduct, place: _Place, box: tuple[int, int, int, int]) -> Image.Image:
    size = box[2:]
    if role in _FIXED:
        return Image.new("RGB", size, _FIXED[role])
    colour = COLOURS[product.colour]
    if role == "accent":
        return Image.new("RGB", size, _mixed(colour, (20, 16, 22), 0.35))
    base = Image.new("RGB", size, colour)
    if product.pattern == "plain":
        return base
    r = Random(product.shape_seed + product.id)  # noqa: S311  # the same pattern in every view
    printed = Image.new("RGB", size, _mixed(colour, (252, 248, 240), 0.78))
    return Image.composite(printed, base, _pattern(product.pattern, r.uniform(9, 16), place.to_units(*box)))


def _pattern(pattern: str, per_unit: float, coordinates: tuple[NDArray[np.float32], ...]) -> Image.Image:
    """Where the second colour is printed: mode L, in the coordinates of the product."""
    u, v = (axis * np.float32(per_unit) for axis in coordinates)
    if pattern == "stripes":
        ink = 0.5 + 4 * (np.sin(math.tau * u * 0.6) - 0.4)
    elif pattern == "dots":
        from_centre = np.hypot(u % 1 - 0.5, (v + np.floor(u) % 2 * 0.5) % 1 - 0.5)
        ink = 0.5 + 12 * (0.27 - from_centre)
    else:
        ink = 0.5 * np.clip(0.5 + 8 * np.sin(math.pi * u), 0, 1) + 0.5 * np.clip(
            0.5 + 8 * np.sin(math.pi * v), 0, 1
        )
        ink *= 0.85
    return Image.fromarray((np.clip(ink, 0, 1) * 255).astype(np.uint8))


def _light(mask: Image.Image) -> tuple[Image.Image, Image.Image]:
    """Shade and shine of a rounded body under a lamp at the upper left: RGB images to multiply and to screen.

    A blurred silhouette serves as height; its slope towards the lamp is the light.
    """
    size = (max(mask.width // _SOFT, 2), max(mask.height // _SOFT, 2))
    radius = 0.11 * min(size) + 1
    pad = math.ceil(2 * radius)
    padded = Image.new("L", (size[0] + 2 * pad, size[1] + 2 * pad))
    padded.paste(mask.resize(size, Image.Resampling.BOX), (pad, pad))
    blurred = padded.filter(ImageFilter.GaussianBlur(radius)).crop((pad, pad, pad + size[0], pad + size[1]))
    height = np.asarray(blurred, dtype=np.float32) / np.float32(255)
    down, right = np.gradient(height)
    slope = (right * 0.8 + down * 0.6) * radius
    across = np.linspace(0, 1, size[0], dtype=np.float32)[None, :]
    shade = 0.66 + 0.3 * height + 0.55 * np.minimum(slope, 0.1) - 0.1 * across
    shine = (
        0.5 * np.clip(slope - 0.08, 0, 1) * height
        + 0.16 * np.exp(-(((across - 0.3) / 0.11) ** 2)) * height**3
    )
    return _enlarged(shade, mask.size), _enlarged(shine, mask.size)


def _enlarged(values: NDArray[np.float32], size: tuple[int, int]) -> Image.Image:
    small = Image.fromarray((np.clip(values, 0, 1) * 255).astype(np.uint8))
    grey = small.resize(size, Image.Resampling.BILINEAR)
    return Image.merge("RGB", (grey, grey, grey))


def _mixed(colour: Rgb, other: Rgb, share: float) -> Rgb:
    red, green, blue = (round(a + (b - a) * share) for a, b in zip(colour, other, strict=True))
    return red, green, blue


def _points(outline: Outline) -> list[tuple[float, float]]:
    return [(x, y) for x, y in outline.tolist()]
