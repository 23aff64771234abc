"""The questions that the demo shows: by product, within another category, by a photo from elsewhere."""

from collections.abc import Sequence
from dataclasses import dataclass

from PIL import Image

from worker.contact_sheet import ASKED, RIGHT, TILE_PX, WRONG, Row, Tile
from worker.demo.catalog import VARIANTS_OF_A_SHAPE, DrawnProduct, make_photos
from worker.demo.draw import draw, encode
from worker.demo.families import FAMILIES
from worker.demo.shop import Item, Shop

SHOWN = 8
_BY_PRODUCT = ("kitchen/teapots", "furniture/chairs", "accessories/watches")
_WITHIN = (("bags/handbags", "kitchen"), ("accessories/umbrellas", "furniture"))
_BY_PHOTO = ("kitchen/mugs", "furniture/sofas", "bags/backpacks")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question with its answers; `wanted` is the category that a right answer is in or below."""

    question: str
    picture: Image.Image
    title: str
    wanted: str
    items: Sequence[Item]
    filtered: bool = False

    def is_right(self, item: Item) -> bool:
        """Whether an answer is in the wanted category."""
        return f"{item.category}/".startswith(f"{self.wanted}/")

    @property
    def astray(self) -> bool:
        """Whether the category filter let others through, or nothing."""
        return self.filtered and not (self.items and all(map(self.is_right, self.items)))


def ask_all(shop: Shop, catalog: Sequence[DrawnProduct], seed: int) -> list[Asked]:
    """Ask them all."""
    asked = []
    for category in _BY_PRODUCT:
        product = _one_of(catalog, category)
        items = shop.similar_to_product(product.id, limit=SHOWN)
        asked.append(_asked("by product", product, category, items))
    for category, other in _WITHIN:
        product = _one_of(catalog, category)
        items = shop.similar_to_product(product.id, limit=SHOWN, category=other)
        asked.append(_asked(f"only {other}", product, other, items, filtered=True))
    photos = make_photos(len(FAMILIES) * VARIANTS_OF_A_SHAPE, seed)
    for category in _BY_PHOTO:
        photo = _one_of(photos, category)
        view = photo.views[0]
        items = shop.similar_to_photo(encode(draw(photo, view), view), limit=SHOWN)
        asked.append(_asked("by photo", photo, category, items))
    return asked


def rows_of(shop: Shop, asked: Sequence[Asked]) -> list[Row]:
    """The rows of the contact sheet, with pictures as the API shows them."""
    rows = []
    for one in asked:
        tiles = [
            Tile(
                shop.picture(item.id, TILE_PX),
                f"{item.score:.3f} {item.colour}",
                item.category,
                RIGHT if one.is_right(item) else WRONG,
            )
            for item in one.items
        ]
        asked_tile = Tile(one.picture, without_brand(one.title), "", ASKED)
        rows.append(Row(one.question, asked_tile, tiles))
    return rows


def without_brand(title: str) -> str:
    """What a product looks like, as its title says after the first word."""
    return title.partition(" ")[2]


def _one_of(products: Sequence[DrawnProduct], category: str) -> DrawnProduct:
    return next(product for product in products if product.category == category)


def _asked(
    question: str,
    product: DrawnProduct,
    wanted: str,
    items: Sequence[Item],
    *,
    filtered: bool = False,
) -> Asked:
    picture = draw(product, product.views[0])
    return Asked(question, picture, product.title, wanted, items, filtered)
