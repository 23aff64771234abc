"""The gate with the shipped defaults, on photos of real products in collections of both engines."""

from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass

import numpy as np
import pytest

from config.gate_settings import GateSettings
from config.settings import ImageSettings, S3Settings
from recommender.encoders.batcher import DynamicBatcher
from recommender.images.source import ImageSource
from recommender.index.protocol import IndexedImage, IndexEngine, ProductIndex, Vectors, Write
from recommender.quality.gate import CHECKS, judge
from recommender.quality.photos import Photos
from recommender.quality.verdict import Verdict
from tests.compacts import CompactEncoder
from tests.integration.index.builders import upserted
from tests.photos import FOLDER, Photo, photos

MAX_PIXELS = 10**7
LIMITS = GateSettings()


@dataclass(frozen=True)
class Pair:
    index: ProductIndex
    batcher: DynamicBatcher


@dataclass(frozen=True)
class Embedded:
    """An encoder, and its row of each of the photos, in their order."""

    batcher: DynamicBatcher
    rows: Vectors


@pytest.fixture(scope="module")
def source() -> Iterator[Photos]:
    opened = ImageSource(S3Settings(), ImageSettings(local_root=FOLDER))
    yield Photos(opened, MAX_PIXELS)
    opened.close()


@pytest.fixture(scope="module")
def encoders(source: Photos) -> Iterator[dict[str, Embedded]]:
    """What serves, the same at another resolution, and one that never learnt anything."""
    named = {
        "serving": CompactEncoder(160),
        "smaller": CompactEncoder(128),
        "random": CompactEncoder(160, seed=7),
    }
    with ExitStack() as cleanup:
        made = {}
        for name, encoder in named.items():
            batcher = DynamicBatcher(encoder, 16)
            cleanup.callback(batcher.close)
            pixels = [source.pixels(uri(photo), None, encoder.spec.preprocessing) for photo in photos()]
            made[name] = Embedded(batcher, batcher.embed_images([p for p in pixels if p is not None]))
        yield made


def uri(photo: Photo) -> str:
    return photo.path.as_uri()


def filled(
    engine: IndexEngine,
    embedded: Embedded,
    source: Photos,
    *,
    order: Sequence[int] | None = None,
    views: int = 3,
    one_category: bool = False,
) -> Pair:
    """A collection of the photos' products; product i has the rows of product `order[i]`."""
    fingerprint = embedded.batcher.encoder.fingerprint
    engine.create(fingerprint, embedded.rows.shape[1])
    index = engine.open(fingerprint)
    shown = photos()
    names = sorted({photo.product for photo in shown})
    rows = {name: [n for n, photo in enumerate(shown) if photo.product == name][:views] for name in names}
    writes = []
    for place, name in enumerate(names):
        own = [shown[n] for n in rows[name]]
        state = upserted(
            name,
            images=[uri(photo) for photo in own],
            category="things" if one_category else f"things/{own[0].path.parent.name}",
            price=float(place),
            in_stock=place % 4 > 0,
        )
        images = tuple(IndexedImage(uri(photo), _etag(source, photo), row) for row, photo in enumerate(own))
        vectors = embedded.rows[rows[names[order[place] if order else place]]]
        writes.append(Write(name, None, state, images, vectors))
    assert not index.write(writes)
    return Pair(index, embedded.batcher)


def _etag(source: Photos, photo: Photo) -> str | None:
    fetched = source.source.fetch(uri(photo))
    assert fetched is not None
    return fetched.etag


def failed(verdict: Verdict) -> set[str]:
    return {check.name for check in verdict.checks if check.passed is False}


def shuffled(*, within_category: bool = False) -> list[int]:
    """A permutation of the 32 products, of which 4 at a time are of one category by their sorted names."""
    names = sorted({photo.product for photo in photos()})
    kinds = {photo.product: photo.path.parent.name for photo in photos()}
    order = np.arange(len(names))
    rng = np.random.default_rng(5)
    groups = [np.flatnonzero([kinds[n] == k for n in names]) for k in sorted(set(kinds.values()))]
    for group in groups if within_category else [order]:
        order[group] = order[np.roll(rng.permutation(group), 1)]
    return [int(place) for place in order]


@pytest.mark.parametrize("views", [3, 1])
def test_the_encoder_at_another_resolution_may_take_over(
    engine: IndexEngine, encoders: dict[str, Embedded], source: Photos, views: int
) -> None:
    old = filled(engine, encoders["serving"], source, views=views)
    new = filled(engine, encoders["smaller"], source, views=views)
    verdict = judge(old, new, LIMITS, source)
    assert [check.name for check in verdict.checks] == list(CHECKS)
    assert verdict.passed, str(verdict)
    unknown = {check.name for check in verdict.checks if check.passed is None}
    assert unknown == (set() if views == 3 else {"quality"}), "32 questions don't tell: overlap decides"


@pytest.mark.parametrize("views", [3, 1])
def test_an_encoder_with_random_weights_is_refused(
    engine: IndexEngine, encoders: dict[str, Embedded], source: Photos, views: int
) -> None:
    old = filled(engine, encoders["serving"], source, views=views)
    new = filled(engine, encoders["random"], source, views=views)
    verdict = judge(old, new, LIMITS, source)
    assert "quality" in failed(verdict), str(verdict)
    assert not verdict.passed, str(verdict)


@pytest.mark.parametrize("within_category", [False, True])
@pytest.mark.parametrize("fetched", [False, True])
def test_permuted_products_are_refused(
    engine: IndexEngine, encoders: dict[str, Embedded], source: Photos, within_category: bool, fetched: bool
) -> None:
    old = filled(engine, encoders["serving"], source)
    new = filled(engine, encoders["smaller"], source, order=shuffled(within_category=within_category))
    verdict = judge(old, new, LIMITS, source if fetched else None)
    assert failed(verdict) & {"placement", "overlap"}, str(verdict)
    assert ("placement" in failed(verdict)) == fetched
    assert not verdict.passed


def test_where_nothing_tells_products_apart_overlap_alone_decides(
    engine: IndexEngine, encoders: dict[str, Embedded], source: Photos
) -> None:
    old = filled(engine, encoders["serving"], source, views=1, one_category=True)
    for name, passes in (("smaller", True), ("random", False)):
        new = filled(engine, encoders[name], source, views=1, one_category=True)
        verdict = judge(old, new, LIMITS, source)
        (quality,) = (check for check in verdict.checks if check.name == "quality")
        assert quality.passed is None
        assert "overlap decides, and has to reach 0.45" in quality.detail
        assert verdict.passed == passes, str(verdict)
        assert failed(verdict) == (set() if passes else {"overlap"})


def test_what_is_missing_is_counted(
    engine: IndexEngine, encoders: dict[str, Embedded], source: Photos
) -> None:
    old = filled(engine, encoders["serving"], source)
    new = filled(engine, encoders["smaller"], source, views=2)
    verdict = judge(old, new, LIMITS, source)
    assert failed(verdict) == {"counts"}, str(verdict)
    assert "32 of 96 images of the sample have no row" in str(verdict)


def test_a_collection_that_holds_nothing_is_refused(
    engine: IndexEngine, encoders: dict[str, Embedded], source: Photos
) -> None:
    old = filled(engine, encoders["serving"], source)
    engine.create("compact-000000000000", encoders["smaller"].rows.shape[1])
    new = Pair(engine.open("compact-000000000000"), encoders["smaller"].batcher)
    verdict = judge(old, new, LIMITS, source)
    assert failed(verdict) == {"counts"}
    assert [check.passed for check in verdict.checks[1:]] == [None] * (len(CHECKS) - 1)
    assert not verdict.passed
