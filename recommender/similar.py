"""The queries: what looks like this?

A question becomes rows, the index searches with the filter applied inside the search, and the rules
(variants, negatives, brands, diversity, threshold) are applied to what it answers.
"""

import time
from collections.abc import Iterator, Sequence
from dataclasses import replace
from itertools import islice

from config.settings import Settings
from recommender import metrics
from recommender.asked import (
    Asked,
    Asker,
    Known,
    check_known,
    match_of,
    products_of,
    weighted_rows,
)
from recommender.catalog import Answer, Filter, Relaxation, SimilarItem
from recommender.encoders.batcher import DynamicBatcher
from recommender.errors import InvalidQuery, LookalikeError, ProductNotFound
from recommender.images.source import ImageSource
from recommender.index.protocol import Hit, Page, ProductIndex, StoredProduct
from recommender.question import (
    MAX_QUESTIONS,
    POOL,
    Question,
    check_filter,
    check_limit,
    check_question,
)
from recommender.ranking import at_most_a_brand, diversified, one_a_family, without_those_nearer_to
from recommender.relative import relative_to
from recommender.relax import ladder

_MAX_SCANNED = 10 * POOL
_FACET_VALUES = 1000  # asked for at first


class Recommender:
    """Answers questions from one index with the encoder it was filled by. Thread-safe; blocks."""

    def __init__(
        self, index: ProductIndex, batcher: DynamicBatcher, source: ImageSource, settings: Settings
    ) -> None:
        self._index = index
        self._asker = Asker(batcher, source, settings.images.max_pixels)
        self._declared = settings.index.attributes

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
        self._check(question)
        return self._answer(question, self._read(question.ids))

    def similar_many(self, questions: Sequence[Question]) -> list[Answer | LookalikeError]:
        """Answer each question, or say what is wrong with it; all their products are one read.

        Raises:
            InvalidQuery: there are none, or too many.
            TransientError: the index does not answer.
        """
        if not 1 <= len(questions) <= MAX_QUESTIONS:
            raise InvalidQuery("questions", f"must be 1 to {MAX_QUESTIONS}")
        known = self._read(list(dict.fromkeys(name for question in questions for name in question.ids)))
        answers: list[Answer | LookalikeError] = []
        for question in questions:
            try:
                self._check(question)
                answers.append(self._answer(question, known))
            except LookalikeError as error:
                answers.append(error)
        return answers

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
        check_limit(limit)
        check_filter(where, self._declared)
        return self._index.scroll(where, limit=limit, cursor=cursor, vectors=vectors)

    def categories(self) -> dict[str, int]:
        """Count searchable products by category path, those below a category included."""
        return dict(sorted(self.facet("category", Filter()).items()))

    def facet(self, field: str, where: Filter) -> dict[str, int]:
        """Count the searchable products that a filter matches, by category, brand or attr.NAME; most first.

        Raises:
            InvalidQuery: the field is none of these, or an attribute is not declared.
        """
        check_filter(where, self._declared)
        top, _, name = field.partition(".")
        if top == "attr":
            check_filter(Filter(attributes={name: ()}), self._declared)
            field = f"attributes.{name}"
        limit = _FACET_VALUES
        while len(counts := self._index.facet(field, where, limit=limit)) >= limit:
            limit *= 4
        return counts

    def count(self, where: Filter) -> int:
        """Count the searchable products that a filter matches.

        Raises:
            InvalidQuery: an attribute is not declared.
        """
        check_filter(where, self._declared)
        return self._index.count(where)

    def _check(self, question: Question) -> None:
        check_question(question)
        check_filter(question.where, self._declared)

    def _read(self, ids: Sequence[str]) -> Known:
        return self._index.read(ids, vectors=True) if ids else {}

    def _answer(self, question: Question, known: Known) -> Answer:
        started = time.perf_counter()
        with metrics.QUERY_SECONDS.time():
            check_known(question, known)
            asked = self._asker.ask(question, known)
            answer = self._on_the_ladder(question, known, asked)
        return replace(answer, took_ms=round((time.perf_counter() - started) * 1000, 2))

    def _on_the_ladder(self, question: Question, known: Known, asked: Asked) -> Answer:
        """The page, from the first filter that leaves a full first page."""
        where = relative_to(products_of(question.liked, known), question)
        if where is None:
            return Answer((), self._index.fingerprint, 0)
        where = replace(where, exclude_ids=(*where.exclude_ids, *question.ids))
        hits: Sequence[Hit] = ()
        relaxed: tuple[Relaxation, ...] = ()
        for wider, steps in ladder(where, question.relax):
            hits, relaxed = self._ranked(question, wider, known, asked), steps
            if len(hits) >= question.limit:
                break
        items = self._items(hits[question.offset : question.offset + question.limit], asked)
        return Answer(items, self._index.fingerprint, 0, relaxed)

    def _ranked(self, question: Question, where: Filter, known: Known, asked: Asked) -> Sequence[Hit]:
        """The answers up to the end of the asked window, at least, if there are so many."""
        wanted = question.offset + question.limit
        rules = (question.negative, question.group, question.diversity, question.brand_cap)
        if not any(rules):
            return self._index.search(
                asked.vectors, where, limit=wanted, min_score=question.min_score, weights=asked.weights
            )
        hits = self._hits(question, where, asked)
        if question.negative:
            negative = weighted_rows(question.disliked, known)
            hits = without_those_nearer_to(negative, asked.weighted_images, hits)
        if question.group:
            hits = one_a_family(hits)
        if question.diversity:
            hits = diversified(list(islice(hits, POOL)), question.diversity)
        if question.brand_cap is not None:
            hits = at_most_a_brand(question.brand_cap, hits)
        return list(islice(hits, wanted))

    def _hits(self, question: Question, where: Filter, asked: Asked) -> Iterator[Hit]:
        """Every hit, best first, searched a page at a time: how many the rules drop is not known before."""
        needs_rows = bool(question.negative or question.diversity)
        page = POOL if question.diversity else 10 * question.limit
        for offset in range(0, _MAX_SCANNED, page):
            hits = self._index.search(
                asked.vectors,
                where,
                limit=page,
                offset=offset,
                min_score=question.min_score,
                with_vectors=needs_rows,
                weights=asked.weights,
            )
            yield from hits
            if len(hits) < page:
                return

    def _items(self, hits: Sequence[Hit], asked: Asked) -> tuple[SimilarItem, ...]:
        """The hits with their matches; what has several images and no vectors yet is read for them."""
        several = [
            hit.stored.id
            for hit in hits
            if hit.stored.vectors is None and sum(image.row is not None for image in hit.stored.images) > 1
        ]
        read = self._read(several)
        return tuple(
            SimilarItem(product, hit.score, match_of(hit, asked, read.get(hit.stored.id, hit.stored)))
            for hit in hits
            if (product := hit.stored.state.product)
        )
