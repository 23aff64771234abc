"""The queries: what looks like this?

A question becomes vectors, the index searches with the filter applied inside the search, and the
rules (variants, negatives, diversity, threshold) are applied to what it answers.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice

import numpy as np

from config.settings import Settings
from recommender import metrics
from recommender.catalog import Answer, Filter, SimilarItem
from recommender.encoders.batcher import DynamicBatcher
from recommender.encoders.preprocess import input_of
from recommender.errors import InvalidQuery, ProductNotFound, ProductNotSearchable
from recommender.images.source import ImageSource
from recommender.index.protocol import Hit, Page, ProductIndex, StoredProduct, Vectors
from recommender.ranking import diversified, one_a_family, without_those_nearer_to

MAX_LIMIT = 100
MAX_WINDOW = 1000  # limit + offset
MAX_PRODUCTS = 32  # asked about in one question: each brings up to 16 query vectors
_MAX_SCANNED = 10_000
_CATEGORIES = 1000  # asked for at first


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked. The positive side is products and images (the union of them), or a text.

    `diversity` in [0, 1] trades likeness for variety. `group` answers one product a variant family
    at most, and none of the families that were asked about.
    """

    positive: tuple[str, ...] = ()
    negative: tuple[str, ...] = ()
    image: bytes | None = None
    image_url: str | None = None
    text: str | None = None
    where: Filter = field(default_factory=Filter)
    limit: int = 12
    offset: int = 0
    min_score: float | None = None
    diversity: float = 0.0
    group: bool = False


class Recommender:
    """Answers questions from one index with the encoder it was filled by. Thread-safe; blocks."""

    def __init__(
        self, index: ProductIndex, batcher: DynamicBatcher, source: ImageSource, settings: Settings
    ) -> None:
        self._index = index
        self._batcher = batcher
        self._source = source
        self._max_pixels = settings.images.max_pixels
        self._declared = frozenset(settings.index.attributes)

    def similar(self, question: Question) -> Answer:
        """Return the products that look most like what is asked, best first.

        The asked products, positive and negative, are never answered.

        Raises:
            InvalidQuery: a parameter is out of bounds or undeclared, or there is nothing to ask by.
            ProductNotFound: an asked product is not in the index.
            ProductNotSearchable: an asked product has no vector.
            TextNotSupported: the encoder has no text tower.
            ImageError: the image can't be used.
            TransientError: the index or the image store does not answer.
        """
        started = time.perf_counter()
        with metrics.QUERY_SECONDS.time():
            _check_bounds(question)
            self._check_filter(question.where)
            hits = self._ranked(question)[question.offset : question.offset + question.limit]
        items = tuple(
            SimilarItem(product, hit.score) for hit in hits if (product := hit.stored.state.product)
        )
        took_ms = (time.perf_counter() - started) * 1000
        return Answer(items, self._index.fingerprint, round(took_ms, 2))

    def product(self, product_id: str, *, vectors: bool = False) -> StoredProduct:
        """Return one live product, searchable or not.

        Raises:
            ProductNotFound: it was never upserted, or is deleted.
        """
        stored = self._index.read([product_id], vectors=vectors).get(product_id)
        if stored is None or stored.state.product is None:
            raise ProductNotFound(f"no product {product_id!r} is in the index")
        return stored

    def products(
        self, where: Filter, *, limit: int, cursor: str | None = None, vectors: bool = False
    ) -> Page:
        """Return live products in a stable order, a page at a time.

        Raises:
            InvalidQuery: the filter or the limit is out of bounds.
        """
        _check_limit(limit)
        self._check_filter(where)
        return self._index.scroll(where, limit=limit, cursor=cursor, vectors=vectors)

    def categories(self) -> dict[str, int]:
        """Count searchable products by category path, those below a category included."""
        limit = _CATEGORIES
        while len(counts := self._index.facet("category", Filter(), limit=limit)) >= limit:
            limit *= 4
        return dict(sorted(counts.items()))

    def _ranked(self, question: Question) -> Sequence[Hit]:
        """The answers up to the end of the asked window, at least."""
        asked = self._read_asked((*question.positive, *question.negative))
        query = self._query_vectors(question, asked)
        where = _without_asked(question, asked)
        wanted = question.offset + question.limit
        if not (question.negative or question.group or question.diversity):
            return self._index.search(query, where, limit=wanted, min_score=question.min_score)
        pool = max(10 * question.limit, 100)
        hits = self._hits(query, where, page=pool, question=question)
        if question.negative:
            hits = without_those_nearer_to(_rows(asked, question.negative), hits)
        if question.group:
            hits = one_a_family(hits)
        if not question.diversity:
            return _first(hits, wanted)
        candidates = _first(hits, max(pool, wanted))
        chosen = diversified(candidates[:pool], question.diversity, count=min(wanted, pool))
        return [*chosen, *candidates[pool:]]

    def _hits(self, query: Vectors, where: Filter, *, page: int, question: Question) -> Iterator[Hit]:
        """Every hit, best first, searched a page at a time: how many the rules drop is not known before."""
        needs_rows = bool(question.negative or question.diversity)
        for offset in range(0, _MAX_SCANNED, page):
            hits = self._index.search(
                query,
                where,
                limit=page,
                offset=offset,
                min_score=question.min_score,
                with_vectors=needs_rows,
            )
            yield from hits
            if len(hits) < page:
                return

    def _read_asked(self, ids: Sequence[str]) -> dict[str, StoredProduct]:
        asked = self._index.read(list(dict.fromkeys(ids)), vectors=True) if ids else {}
        for product_id in ids:
            stored = asked.get(product_id)
            if stored is None or stored.state.product is None:
                raise ProductNotFound(f"no product {product_id!r} is in the index")
            if stored.vectors is None or not len(stored.vectors):
                raise ProductNotSearchable(f"product {product_id!r} has no image that could be embedded")
        return asked

    def _query_vectors(self, question: Question, asked: dict[str, StoredProduct]) -> Vectors:
        if question.text is not None:
            return self._batcher.embed_texts([question.text])
        rows = [_rows(asked, question.positive)] if question.positive else []
        if question.image is not None:
            rows.append(self._embed(question.image, name="the uploaded image"))
        if question.image_url is not None:
            fetched = self._source.fetch(question.image_url)
            assert fetched is not None, "only a conditional fetch answers that nothing changed"
            rows.append(self._embed(fetched.data, name=question.image_url))
        return np.concatenate(rows)

    def _embed(self, data: bytes, *, name: str) -> Vectors:
        p = self._batcher.encoder.spec.preprocessing
        pixels = input_of(data, name=name, p=p, max_pixels=self._max_pixels)
        return self._batcher.embed_images([pixels], urgent=True)

    def _check_filter(self, where: Filter) -> None:
        for name in where.attributes:
            if name not in self._declared:
                raise InvalidQuery(
                    f"attr.{name}",
                    "this attribute is not declared as one to filter on; declared are: "
                    f"{', '.join(sorted(self._declared)) or 'none'}",
                )
        if where.price_min is not None and where.price_max is not None and where.price_min > where.price_max:
            raise InvalidQuery("price_min", "must not be greater than price_max")


def _check_limit(limit: int) -> None:
    if not 1 <= limit <= MAX_LIMIT:
        raise InvalidQuery("limit", f"must be 1 to {MAX_LIMIT}")


def _check_bounds(question: Question) -> None:
    _check_limit(question.limit)
    if question.offset < 0 or question.offset + question.limit > MAX_WINDOW:
        raise InvalidQuery("offset", f"must be at least 0, and offset + limit at most {MAX_WINDOW}")
    if question.min_score is not None and not -1 <= question.min_score <= 1:
        raise InvalidQuery("min_score", "must be a cosine, -1 to 1")
    if not 0 <= question.diversity <= 1:
        raise InvalidQuery("diversity", "must be 0 to 1")
    for name, ids in (("positive", question.positive), ("negative", question.negative)):
        if len(ids) > MAX_PRODUCTS:
            raise InvalidQuery(name, f"must name at most {MAX_PRODUCTS} products")
    by_image = bool(question.positive) or question.image is not None or question.image_url is not None
    if question.text is not None and by_image:
        raise InvalidQuery(
            "text", "can't be mixed with products or images: their scores are on different scales"
        )
    if question.text is not None and not question.text.strip():
        raise InvalidQuery("text", "must not be empty")
    if question.text is None and not by_image:
        raise InvalidQuery("positive", "give at least one product, an image, an image_url or a text")


def _without_asked(question: Question, asked: dict[str, StoredProduct]) -> Filter:
    where = replace(question.where, exclude_ids=(*question.where.exclude_ids, *asked))
    if not question.group:
        return where
    products = (asked[product_id].state.product for product_id in question.positive)
    families = (product.group_id for product in products if product and product.group_id)
    return replace(where, exclude_groups=(*where.exclude_groups, *dict.fromkeys(families)))


def _rows(asked: dict[str, StoredProduct], ids: Sequence[str]) -> Vectors:
    stored = (asked[product_id].vectors for product_id in dict.fromkeys(ids))
    return np.concatenate([rows for rows in stored if rows is not None])


def _first(hits: Iterator[Hit], count: int) -> list[Hit]:
    return list(islice(hits, count))
