"""What a question is asked by, as rows to search with, and which image each row is of."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from recommender.catalog import Match, Product
from recommender.encoders.batcher import DynamicBatcher
from recommender.encoders.preprocess import input_of
from recommender.errors import ProductNotFound, ProductNotSearchable
from recommender.images.source import ImageSource
from recommender.index.protocol import Hit, IndexedImage, StoredProduct, Vectors
from recommender.question import Question, Weighted

Known = Mapping[str, StoredProduct]
"""The products that a question names, read with their vectors, by id."""


@dataclass(frozen=True, slots=True)
class Row:
    """Where one row of a question comes from, and what its cosines count for."""

    asked: str | None = None
    asked_image: int | None = None
    weight: float = 1.0


@dataclass(frozen=True, slots=True)
class Asked:
    """The rows of a question: `vectors` (Q, D) to search with, `images` (Q, D) without the text.

    They are the same unless a text is mixed in. A text alone is one row of both.
    """

    rows: tuple[Row, ...]
    vectors: Vectors
    images: Vectors

    @property
    def weights(self) -> list[float]:
        """What each row's cosines count for."""
        return [row.weight for row in self.rows]

    @property
    def weighted_images(self) -> Vectors:
        """(Q, D): the rows without the text, each times its weight."""
        return self.images * np.array(self.weights, np.float32)[:, None]


class Asker:
    """Turns questions into rows: reads stored ones, embeds images and texts. Thread-safe; blocks."""

    def __init__(self, batcher: DynamicBatcher, source: ImageSource, max_pixels: int) -> None:
        self._batcher = batcher
        self._source = source
        self._max_pixels = max_pixels

    def ask(self, question: Question, known: Known) -> Asked:
        """The rows of a question whose products are known.

        Raises:
            ImageError, TextNotSupported, TransientError: as `Recommender.similar`.
        """
        text = None if question.text is None else self._batcher.embed_texts([question.text])
        if not question.by_image:
            assert text is not None, "a question has an image or a text"
            return Asked((Row(),), text, text)
        rows, vectors = zip(*self._images(question, known), strict=True)
        images = np.stack(vectors)
        return Asked(rows, images if text is None else _mixed(images, text, question.text_weight), images)

    def _images(self, question: Question, known: Known) -> Iterator[tuple[Row, Vectors]]:
        for liked in question.liked:
            stored = known[liked.id]
            places = _places(stored.images, stored.state.product)
            for number, vector in enumerate(_vectors(stored)):
                yield Row(liked.id, places.get(number), liked.weight), vector
        if question.image is not None:
            yield Row(), self._embed(question.image, name="the uploaded image")
        if question.image_url is not None:
            fetched = self._source.fetch(question.image_url)
            assert fetched is not None, "only a conditional fetch answers that nothing changed"
            yield Row(), self._embed(fetched.data, name=question.image_url)

    def _embed(self, data: bytes, *, name: str) -> Vectors:
        p = self._batcher.encoder.spec.preprocessing
        pixels = input_of(data, name=name, p=p, max_pixels=self._max_pixels)
        row: Vectors = self._batcher.embed_images([pixels], urgent=True)[0]
        return row


def check_known(question: Question, known: Known) -> None:
    """See to it that every named product can be asked about.

    Raises:
        ProductNotFound: one is not in the index.
        ProductNotSearchable: one has no vector.
    """
    for product_id in question.ids:
        stored = known.get(product_id)
        if stored is None or stored.state.product is None:
            raise ProductNotFound(f"no product {product_id!r} is in the index")
        if stored.vectors is None or not len(stored.vectors):
            raise ProductNotSearchable(f"product {product_id!r} has no image that could be embedded")


def products_of(named: Sequence[Weighted], known: Known) -> list[Product]:
    """The products of these names, all of which are known."""
    return [product for one in named if (product := known[one.id].state.product)]


def weighted_rows(named: Sequence[Weighted], known: Known) -> Vectors:
    """(N, D): the rows of these products, each times its weight."""
    return np.concatenate([one.weight * _vectors(known[one.id]) for one in named])


def match_of(hit: Hit, asked: Asked, read: StoredProduct) -> Match:
    """Which image of a hit is like which image that was asked about.

    `read` is the hit's product with its vectors; without any, where only one image has a row, or where it was
    deleted since: then its first image is named.
    """
    row = asked.rows[hit.asked_row]
    places = _places(read.images, hit.stored.state.product)
    likest = min(places, default=0)
    if len(places) > 1 and read.vectors is not None and len(read.vectors):
        likest = int(np.argmax(read.vectors @ asked.vectors[hit.asked_row]))
    return Match(row.asked, row.asked_image, places.get(likest, 0))


def _places(images: Sequence[IndexedImage], product: Product | None) -> dict[int, int]:
    """Where the image of each row stands in the product's document, from 0."""
    uris = [image.uri for image in product.images] if product else []
    return {
        image.row: uris.index(image.uri) for image in images if image.row is not None and image.uri in uris
    }


def _mixed(images: Vectors, text: Vectors, text_weight: float) -> Vectors:
    """Each image's row moved towards the text's, at unit norm again."""
    mixed = (1 - text_weight) * images + text_weight * text
    norms = np.linalg.norm(mixed, axis=1, keepdims=True)
    unit: Vectors = (mixed / np.maximum(norms, 1e-12)).astype(np.float32)
    return unit


def _vectors(stored: StoredProduct) -> Vectors:
    assert stored.vectors is not None, "it was read with its vectors"
    return stored.vectors
