"""What is evaluated: products of the catalog or labelled photos, with their rows and pictures."""

import hashlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from random import Random
from typing import Any

import numpy as np
from PIL import Image
from torch import Tensor

from recommender.encoders.preprocess import input_of
from recommender.encoders.protocol import Preprocessing
from recommender.errors import ImageError, InvalidQuery
from recommender.index.protocol import Vectors
from recommender.looks import Looks, Places
from recommender.quality.photos import Photos
from recommender.quality.sample import numbered
from worker.bench.sample import SUFFIXES
from worker.cli.gathering import Listed, gather, picture
from worker.cli.query import Api

Picture = Callable[[int], Image.Image | None]
Pixels = Callable[[int, Preprocessing], Tensor | None]


@dataclass(frozen=True, slots=True)
class Subjects:
    """P products with R images that have rows.

    `families` is (P,), -1 for none; `clusters`, (P,), has the same number for products about which questions
    succeed and fail together; `photos` is (R,), the same number for the same photo. Row r is of the image at
    `uris[r]`; by its number `images[r]`, `picture` shows it and `pixels` reads it as an encoder does, or None
    where it can't be had.
    """

    encoder: str
    ids: tuple[str, ...]
    titles: tuple[str, ...]
    categories: tuple[str, ...]
    families: Places
    clusters: Places
    photos: Places
    uris: tuple[str, ...]
    images: Places
    looks: Looks
    picture: Picture
    pixels: Pixels

    def kept(self, rows: Places) -> "Subjects":
        """Those of these rows, ascending; products that have none left are left out."""
        products, sizes = np.unique(self.looks.products_of_rows[rows], return_counts=True)
        chosen = products.tolist()
        return replace(
            self,
            ids=tuple(self.ids[place] for place in chosen),
            titles=tuple(self.titles[place] for place in chosen),
            categories=tuple(self.categories[place] for place in chosen),
            families=self.families[products],
            clusters=self.clusters[products],
            photos=self.photos[rows],
            uris=tuple(self.uris[row] for row in rows.tolist()),
            images=self.images[rows],
            looks=Looks(self.looks.vectors[rows], np.cumsum([0, *sizes], dtype=np.int64)),
        )

    def sampled(self, most: int | None, seed: int) -> "Subjects":
        """At most so many products, drawn by chance, in their order."""
        if most is None or most >= len(self.ids):
            return self
        chosen = Random(seed).sample(range(len(self.ids)), most)  # noqa: S311  # chance without secrets
        return self.kept(np.flatnonzero(np.isin(self.looks.products_of_rows, chosen)))

    def with_rows(self, vectors: Vectors) -> Looks:
        """The same products, looked at another way."""
        return Looks(vectors, self.looks.starts)


def of_catalog(api: Api, filters: Mapping[str, Any], limit: int | None, photos: Photos | None) -> Subjects:
    """The products that a filter matches, `limit` at most, as the serving index holds them; blocks.

    Args:
        api: the query API.
        filters: its parameters.
        limit: products, at most.
        photos: where images are fetched from, if they are to be embedded again.

    Raises:
        QueryError: the filter is wrong, or no searchable product matches it.
        TransientError: the API could not answer, again and again.
    """
    gathered = gather(api, filters, limit=limit)
    alone = len(gathered.products) + np.arange(len(gathered.products))
    listed = [(product, row) for product in gathered.products for row in range(len(product.images))]

    def pixels(number: int, p: Preprocessing) -> Tensor | None:
        product, row = listed[number]
        return photos.pixels(product.uris[row], product.etags[row], p) if photos else None

    return Subjects(
        encoder=gathered.encoder,
        ids=tuple(product.id for product in gathered.products),
        titles=tuple(product.title or "" for product in gathered.products),
        categories=tuple(product.category[0] for product in gathered.products),
        families=gathered.families,
        clusters=np.where(gathered.families < 0, alone, gathered.families),
        photos=numbered(_photo(product, row) for product, row in listed),
        uris=tuple(product.uris[row] for product, row in listed),
        images=np.arange(len(listed)),
        looks=gathered.looks,
        picture=lambda number: picture(api, *listed[number]),
        pixels=pixels,
    )


def of_folder(folder: Path, max_pixels: int) -> Subjects:
    """Photos, each in a folder that is its label, and a product of its own; they have no rows yet.

    Raises:
        InvalidQuery: it holds fewer than two labels.
    """
    folder = folder.resolve()
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in SUFFIXES)
    labels = [path.parent.relative_to(folder).as_posix() for path in paths]
    if len(set(labels)) < 2:
        raise InvalidQuery(
            "photos", f"{folder} must hold photos in folders, one a label, two labels at least"
        )

    def pixels(number: int, p: Preprocessing) -> Tensor | None:
        path = paths[number]
        try:
            return input_of(path.read_bytes(), name=str(path), p=p, max_pixels=max_pixels)
        except ImageError:
            return None

    places = np.arange(len(paths), dtype=np.int64)
    return Subjects(
        encoder="",
        ids=tuple(path.relative_to(folder).as_posix() for path in paths),
        titles=tuple(labels),
        categories=tuple(labels),
        families=numbered(labels),
        clusters=places,
        photos=numbered(hashlib.sha256(path.read_bytes()).digest() for path in paths),
        uris=tuple(path.as_uri() for path in paths),
        images=places,
        looks=Looks(np.empty((len(paths), 0), np.float32), np.arange(len(paths) + 1, dtype=np.int64)),
        picture=lambda number: _opened(paths[number]),
        pixels=pixels,
    )


def _photo(product: Listed, row: int) -> str:
    """What tells a photo from others: a shop may store one twice."""
    return product.etags[row] or product.uris[row]


def _opened(path: Path) -> Image.Image | None:
    try:
        return Image.open(path)
    except OSError:
        return None
