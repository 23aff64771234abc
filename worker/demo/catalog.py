"""The demo's catalog as data: what is drawn, in which views, and the documents that say so. Pure."""

from collections.abc import Iterator
from dataclasses import dataclass
from random import Random
from typing import Any, Literal

from worker.demo.families import FAMILIES

FileFormat = Literal["JPEG", "PNG", "WEBP"]
Background = Literal["plain", "gradient", "noise", "shapes"]
Rgb = tuple[int, int, int]

COLOURS: dict[str, Rgb] = {
    "red": (196, 44, 48),
    "orange": (232, 124, 40),
    "yellow": (236, 196, 58),
    "green": (70, 140, 74),
    "teal": (38, 142, 146),
    "blue": (48, 92, 176),
    "purple": (122, 74, 158),
    "pink": (228, 128, 162),
    "brown": (124, 82, 52),
    "grey": (122, 126, 132),
}
PATTERNS = ("plain", "stripes", "dots", "checks")
BRANDS = ("Alder", "Birch", "Corvid", "Dune", "Estuary", "Fjord")  # one word each
EXTENSIONS: dict[FileFormat, str] = {"JPEG": "jpg", "PNG": "png", "WEBP": "webp"}
VARIANTS_OF_A_SHAPE = 2  # every product has a sibling of the same shape instance and another colour


@dataclass(frozen=True, slots=True)
class View:
    """One picture of a product: how it is held and what is behind it."""

    key: str
    file_format: FileFormat
    width_px: int
    height_px: int
    scale: float
    angle_deg: float
    squeeze: float
    mirrored: bool
    offset: tuple[float, float]
    background: Background
    seed: str


@dataclass(frozen=True, slots=True)
class DrawnProduct:
    """One product with its truth: `category` is the family of its shape."""

    id: str
    category: str
    colour: str
    pattern: str
    shape_seed: str
    price: float
    brand: str
    in_stock: bool
    group_id: str
    views: tuple[View, ...]

    @property
    def title(self) -> str:
        """Like "Dune teal mug, striped"."""
        kind = self.category.rpartition("/")[2].removesuffix("s")
        if kind == "watche":
            kind = "watch"
        finish = {"plain": "", "stripes": ", striped", "dots": ", dotted", "checks": ", checked"}
        return f"{self.brand} {self.colour} {kind}{finish[self.pattern]}"

    def document(self, bucket: str, version: int) -> dict[str, Any]:
        """The document of `products.upsert`."""
        return {
            "id": self.id,
            "version": version,
            "images": [f"s3://{bucket}/{view.key}" for view in self.views],
            "category": self.category,
            "title": self.title,
            "brand": self.brand,
            "price": self.price,
            "currency": "EUR",
            "in_stock": self.in_stock,
            "group_id": self.group_id,
            "attributes": {"colour": self.colour, "pattern": self.pattern},
        }


def make_catalog(products: int, seed: int) -> list[DrawnProduct]:
    """The same `products` for the same `seed`; categories take turns, all else is independent of them."""
    return list(_products(products, f"demo-{seed}", "sku"))


def make_photos(photos: int, seed: int) -> list[DrawnProduct]:
    """Products that are in no catalog: their shapes, of the same families, are nobody else's."""
    return list(_products(photos, f"photo-{seed}", "photo"))


def _products(count: int, seed: str, prefix: str) -> Iterator[DrawnProduct]:
    categories = list(FAMILIES)
    for number in range(count):
        category = categories[number // VARIANTS_OF_A_SHAPE % len(categories)]
        shape = number // VARIANTS_OF_A_SHAPE
        r = Random(f"{seed}/{number}")  # noqa: S311  # to draw with, not to hide with
        identity = f"{prefix}-{number:05d}"
        yield DrawnProduct(
            id=identity,
            category=category,
            colour=_colour(seed, shape, number % VARIANTS_OF_A_SHAPE),
            pattern=r.choice(PATTERNS),
            shape_seed=f"{seed}/shape-{shape}",
            price=round(r.uniform(5, 250), 2),
            brand=r.choice(BRANDS),
            in_stock=r.random() < 0.85,
            group_id=f"{prefix}-style-{shape:05d}",
            views=tuple(_view(r, f"{identity}/{n}", f"{seed}/{number}/{n}") for n in range(r.randint(1, 3))),
        )


def _colour(seed: str, shape: int, variant: int) -> str:
    """Variants of a shape differ in colour; over the catalog, colour says nothing of category."""
    return Random(f"{seed}/colours-{shape}").sample(list(COLOURS), VARIANTS_OF_A_SHAPE)[variant]  # noqa: S311


def _view(r: Random, key: str, seed: str) -> View:
    file_format: FileFormat = r.choices(("JPEG", "PNG", "WEBP"), (5, 2, 3))[0]
    side = round(r.triangular(600, 1000, 600))
    width, height = r.choice([(side, side), (side, side), (side, int(side * 1.2)), (int(side * 1.2), side)])
    return View(
        key=f"{key}.{EXTENSIONS[file_format]}",
        file_format=file_format,
        width_px=width,
        height_px=height,
        scale=r.uniform(0.62, 0.92),
        angle_deg=r.uniform(-25, 25),
        squeeze=r.uniform(0.85, 1.0),
        mirrored=r.random() < 0.3,
        offset=(r.uniform(-0.06, 0.06), r.uniform(-0.05, 0.05)),
        background=r.choice(("plain", "gradient", "noise", "shapes")),
        seed=seed,
    )
