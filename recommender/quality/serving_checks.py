"""How a new collection serves: is all of it there, in its place, found under filters, soon enough?"""

import time
from bisect import bisect_left
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from random import Random
from statistics import median
from typing import Protocol

import torch
from torch import Tensor

from config.gate_settings import GateSettings
from recommender.catalog import Filter, Product, category_ancestors
from recommender.encoders.batcher import DynamicBatcher
from recommender.index.protocol import ProductIndex, Vectors
from recommender.index.strategy import EXACT
from recommender.quality.photos import Photos
from recommender.quality.sample import Sample
from recommender.quality.verdict import Check, at_least, at_most, not_measurable

_NEIGHBOURS = 10
_FILTERED = 64  # searches, each of them twice
_TIMED = 30  # questions of each kind to each side, after a first one that isn't counted
_FREE_MS = 10.0  # no shopper sees it
_PLACED = 32  # images that are embedded again
_FEWEST_PLACED = 8
_SAME = 0.97
"""Least cosine of a row to that of the same bytes: runtimes and half precision differ by less than 0.001, and
another photo scores less unless it is a near copy.
"""
_ROUNDING = 1e-5  # a walk and an exact search add up a cosine in different orders


class PairLike(Protocol):
    """A collection, and the encoder that it was filled by."""

    @property
    def index(self) -> ProductIndex:
        """The collection."""
        ...

    @property
    def batcher(self) -> DynamicBatcher:
        """The encoder."""
        ...


def counts(old: ProductIndex, new: ProductIndex, sample: Sample, limits: GateSettings) -> Check:
    """Whether the new collection can find as many products, and as many images of those in the sample."""
    before, after = old.count(Filter()), new.count(Filter())
    products = abs(before - after) / max(before, 1)
    images = sample.lost / max(sample.held, 1)
    return at_most(
        "counts",
        max(products, images),
        limits.max_missing,
        f"{after} searchable products, {before} before; {sample.lost} of {sample.held} images of the sample "
        f"have no row any more; either may differ by {limits.max_missing:g}",
    )


def placement(
    new: PairLike, sample: Sample, limits: GateSettings, *, photos: Photos | None, seed: int
) -> Check:
    """Whether rows are those of their images: some of these are embedded again."""
    name, threshold = "placement", limits.min_placed
    decides = f"overlap decides, and has to reach {limits.min_overlap_alone:g}"
    if photos is None:
        return not_measurable(name, threshold, f"there is nowhere to fetch images from; {decides}")
    cosines = _to_themselves(new, sample, photos, seed)
    if len(cosines) < _FEWEST_PLACED:
        return not_measurable(
            name,
            threshold,
            f"{len(cosines)} images could be fetched and have not changed, fewer than {_FEWEST_PLACED}; "
            f"{decides}",
        )
    placed = sum(cosine >= _SAME for cosine in cosines)
    return at_least(
        name,
        placed / len(cosines),
        threshold,
        f"{placed} of {len(cosines)} images, embedded again, give the row that is stored for them (cosine "
        f"{_SAME:g} or more), at least {threshold:g} of them",
    )


def recall(new: ProductIndex, sample: Sample, limits: GateSettings, *, seed: int) -> Check:
    """Whether answers under filters are the exact ones; the filters are about what the catalog holds."""
    found = wanted = searched = 0
    for question in _filtered(sample, seed):
        exact = new.search(question.rows, question.where, limit=_NEIGHBOURS, strategy=EXACT)
        if exact:
            answers = new.search(question.rows, question.where, limit=_NEIGHBOURS)
            least = exact[-1].relevance - _ROUNDING
            found += min(sum(hit.relevance >= least for hit in answers), len(exact))
            wanted, searched = wanted + len(exact), searched + 1
    if not wanted:
        return not_measurable(
            "recall", limits.min_recall, "no other product passes a filter that one of the catalog passes"
        )
    return at_least(
        "recall",
        found / wanted,
        limits.min_recall,
        f"{found} of the {wanted} true neighbours found by {searched} searches under filters on category, "
        f"price and stock, at least {limits.min_recall:g}",
    )


def latency(
    old: ProductIndex, new: ProductIndex, sample: Sample, limits: GateSettings, *, seed: int
) -> Check:
    """Whether questions by product are answered about as soon as before."""
    asked = list(_filtered(sample, seed))[:_TIMED]
    before, after = _medians_ms(
        [partial(old.search, one.old_rows, one.where, limit=_NEIGHBOURS) for one in asked],
        [partial(new.search, one.rows, one.where, limit=_NEIGHBOURS) for one in asked],
    )
    allowed = max(_FREE_MS, limits.max_slowdown * before)
    return at_most(
        "latency",
        after,
        allowed,
        f"a search takes {after:.1f} ms, {before:.1f} before (medians of {len(asked)}, in turns), and may "
        f"take {allowed:.1f}",
    )


def photo_latency(old: PairLike, new: PairLike, limits: GateSettings, *, seed: int) -> Check:
    """Whether a question by photo, embedded and searched, is answered soon enough; asked by noise."""
    before, after = _medians_ms(
        [partial(_ask_by, old, photo) for photo in _noise(old.batcher, seed)],
        [partial(_ask_by, new, photo) for photo in _noise(new.batcher, seed)],
    )
    return at_most(
        "photo latency",
        after,
        limits.max_photo_ms,
        f"a question by photo takes {after:.1f} ms, {before:.1f} before (medians of {_TIMED}, in turns), "
        f"and may take {limits.max_photo_ms:g}",
    )


@dataclass(frozen=True, slots=True)
class _Asked:
    """A product's rows in both collections, and a filter that products like it pass."""

    old_rows: Vectors
    rows: Vectors
    where: Filter


def _filtered(sample: Sample, seed: int) -> Iterator[_Asked]:
    """Questions about products of the sample, under filters on what they are like."""
    chance = Random(seed)  # noqa: S311  # chance without secrets
    prices = sorted(product.price for product in sample.products if product.price is not None)
    places = range(len(sample.products))
    for place in chance.sample(places, min(_FILTERED, len(places))):
        own = slice(sample.new.starts[place], sample.new.starts[place + 1])
        where = _drawn(sample.products[place], prices, chance)
        yield _Asked(sample.old.vectors[own], sample.new.vectors[own], where)


def _drawn(product: Product, prices: Sequence[float], chance: Random) -> Filter:
    """The product's category or one above it, prices about its own, what is in stock: some of these."""
    category, price, stock = (chance.random() < share for share in (0.6, 0.4, 0.3))
    low = high = None
    if price and product.price is not None:
        at, width = bisect_left(prices, product.price), chance.randint(1, max(1, len(prices) // 2))
        low, high = prices[max(0, at - width)], prices[min(len(prices) - 1, at + width)]
    return Filter(
        category=(chance.choice(category_ancestors(product.category)),) if category else (),
        price_min=low,
        price_max=high,
        currency=product.currency if low is not None else None,
        in_stock=True if stock else None,
        exclude_ids=(product.id,),
    )


def _to_themselves(new: PairLike, sample: Sample, photos: Photos, seed: int) -> list[float]:
    """Cosines of stored rows to those of their images, embedded again; images that are gone are left out."""
    cosines: list[float] = []
    chance = Random(seed)  # noqa: S311  # chance without secrets
    for row in chance.sample(range(len(sample.images)), min(2 * _PLACED, len(sample.images))):
        image = sample.images[row]
        pixels = photos.pixels(image.uri, image.etag, new.batcher.encoder.spec.preprocessing)
        if pixels is not None:
            cosines.append(float(new.batcher.embed_images([pixels])[0] @ sample.new.vectors[row]))
        if len(cosines) == _PLACED:
            break
    return cosines


def _noise(batcher: DynamicBatcher, seed: int) -> list[Tensor]:
    """Inputs, (3, input_px, input_px) uint8, one a question."""
    side = batcher.encoder.spec.preprocessing.input_px
    generator = torch.Generator().manual_seed(seed)
    return list(torch.randint(0, 256, (_TIMED, 3, side, side), dtype=torch.uint8, generator=generator))


def _ask_by(pair: PairLike, photo: Tensor) -> None:
    pair.index.search(pair.batcher.embed_images([photo], urgent=True), Filter(), limit=_NEIGHBOURS)


def _medians_ms(
    before: Sequence[Callable[[], object]], after: Sequence[Callable[[], object]]
) -> tuple[float, float]:
    """Medians of both, asked in turns: what else the machine does slows both. The first is a warm-up."""
    taken: tuple[list[float], list[float]] = ([], [])
    for number in (0, *range(len(before))):
        for side, asked in enumerate((before, after)):
            started = time.perf_counter()
            asked[number]()
            taken[side].append(1000 * (time.perf_counter() - started))
    return median(taken[0][1:]), median(taken[1][1:])
