"""The photos of products that the repository holds: 8 classes, 4 products of each, 3 views of a product."""

from dataclasses import dataclass
from pathlib import Path

FOLDER = Path(__file__).parent / "images" / "products"


@dataclass(frozen=True, slots=True)
class Photo:
    """One JPEG of about 1000 px; photos of the same `product` show the same thing."""

    product: str
    path: Path


def photos() -> list[Photo]:
    """All of them, sorted."""
    return [Photo(path.stem.rpartition("-")[0], path) for path in sorted(FOLDER.glob("*/*.jpg"))]
