"""The same products as two collections hold them: a seeded sample, with the rows of both."""

from collections.abc import Hashable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from random import Random
from uuid import UUID

import numpy as np

from recommender.catalog import Filter, Product
from recommender.index.protocol import IndexedImage, Page, ProductIndex, StoredProduct, Vectors
from recommender.looks import Gathering, Looks, Places

_PAGE = 256


@dataclass(frozen=True, slots=True)
class Sample:
    """P products that both collections can find, and the R images that both have a row of.

    Image r has row r in `old` and in `new`. `families` and `categories` are (P,), a number each, -1 for no
    family; `photos` is (R,), the same number for the same photo. Of the `held` images that the old collection
    has rows of, the new one lacks `lost`.
    """

    products: tuple[Product, ...]
    images: tuple[IndexedImage, ...]
    families: Places
    categories: Places
    photos: Places
    old: Looks
    new: Looks
    lost: int
    held: int


def draw(old: ProductIndex, new: ProductIndex, size: int, *, seed: int) -> Sample:
    """Read up to `size` products of the old collection, and the same ones of the new; blocks.

    `images` of the sample are as the new collection knows them.
    """
    products: list[Product] = []
    images: list[IndexedImage] = []
    rows: tuple[list[Vectors], list[Vectors]] = ([], [])
    lost = held = 0
    for before, after in _in_both(old, new, size, seed):
        had, has = _with_rows(before), _with_rows(after)
        shared = [uri for uri in had if uri in has]
        lost, held = lost + len(had) - len(shared), held + len(had)
        if shared and before.state.product is not None:
            products.append(before.state.product)
            images += [has[uri] for uri in shared]
            rows[0].append(_rows(before, [had[uri] for uri in shared]))
            rows[1].append(_rows(after, [has[uri] for uri in shared]))
    families = numbered(product.group_id for product in products)
    alone = np.array([product.group_id is None for product in products], bool)
    return Sample(
        tuple(products),
        tuple(images),
        np.where(alone, -1, families),
        numbered(product.category[0] for product in products),
        numbered(image.etag or image.uri for image in images),
        _looks(rows[0]),
        _looks(rows[1]),
        lost,
        held,
    )


def numbered(names: Iterable[Hashable]) -> Places:
    """A number for each: the same for equal ones, from 0 in the order of their first."""
    numbers: dict[Hashable, int] = {}
    return np.array([numbers.setdefault(name, len(numbers)) for name in names], np.int64)


def _in_both(
    old: ProductIndex, new: ProductIndex, size: int, seed: int
) -> Iterator[tuple[StoredProduct, StoredProduct | None]]:
    """Products of the old collection, with what the new one has of them.

    Points lie in the order of hashes of their ids: those from a random place on are a random sample.
    """
    seen: set[str] = set()
    for start in (str(UUID(int=Random(seed).getrandbits(128))), None):  # noqa: S311  # chance without secrets
        for page in _pages(old, start):
            fresh = [stored for stored in page.products if stored.id not in seen][: size - len(seen)]
            there = new.read([stored.id for stored in fresh], vectors=True)
            seen.update(stored.id for stored in fresh)
            yield from ((stored, there.get(stored.id)) for stored in fresh)
            if len(seen) >= size:
                return


def _pages(index: ProductIndex, start: str | None) -> Iterator[Page]:
    page = index.scroll(Filter(), limit=_PAGE, cursor=start, vectors=True)
    yield page
    while page.cursor is not None:
        page = index.scroll(Filter(), limit=_PAGE, cursor=page.cursor, vectors=True)
        yield page


def _with_rows(stored: StoredProduct | None) -> dict[str, IndexedImage]:
    return {} if stored is None else {image.uri: image for image in stored.images if image.row is not None}


def _rows(stored: StoredProduct | None, images: Sequence[IndexedImage]) -> Vectors:
    assert stored is not None, "it has images"
    assert stored.vectors is not None, "it was read with its vectors"
    return stored.vectors[[image.row for image in images if image.row is not None]]


def _looks(rows: Sequence[Vectors]) -> Looks:
    gathering = Gathering(rows[0].shape[1] if rows else 1)
    for own in rows:
        gathering.add(own)
    return gathering.finish()
