"""The whole plan: sample, rates, sizes and losses, each figure with how it came about."""

from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

from config.settings import Settings, Storage
from recommender.events import Upsert
from recommender.images.source import ImageSource
from recommender.index.storage import STORAGES
from worker.bench import sample as images
from worker.planning import losses, rates, sampling, sizes

Say = Callable[[str], None]
EXAMPLE = {
    "id": "sku-00000123",
    "version": 1732350000000,
    "images": ["s3://shop-images/products/sku-00000123/front-large.jpg"],
    "category": "women/shoes/boots",
    "title": "Ankle boot in soft leather with a zip",
    "brand": "Acme",
    "price": 89.9,
    "currency": "EUR",
    "group_id": "style-77",
    "url": "https://shop.example/products/sku-00000123",
    "attributes": {"colour": "black", "sizes": ["38", "39", "40"]},
}
"""A product of a catalog of which there is no sample."""


@dataclass(frozen=True, slots=True)
class Kept:
    """The catalog in one storage."""

    storage: Storage
    memory: sizes.Memory
    disk: sizes.Disk


@dataclass(frozen=True, slots=True)
class Plan:
    """What `lookalike plan` prints. `losses_how` says how they were measured, or why not."""

    catalog: sizes.Catalog
    payload_how: str
    rates: rates.Rates
    kept: tuple[Kept, ...]
    losses: tuple[losses.Loss, ...]
    losses_how: str


def estimate(
    settings: Settings,
    *,
    products: int,
    images_in_all: int,
    sample: int,
    folder: Path | None,
    seconds: float,
    say: Say,
) -> Plan:
    """Measure and reckon; blocks for a minute or so. The catalog is only read.

    Args:
        settings: of the worker that is planned.
        products: of the catalog.
        images_in_all: of all products together.
        sample: products of the index whose rows recall is measured with; 0: it is not.
        folder: of images to measure with; else those of the index, else of the buckets, else none.
        seconds: that each stage is measured for.
        say: told what is measured next.

    Raises:
        ConfigurationError: the folder has no images, or the encoder can't be loaded as configured.
        LookalikeError: the index or the store does not answer.
    """
    drawn = sampling.draw(settings, sample) if sample else "--sample 0 asked for none"
    measured = _rates(settings, drawn, folder, seconds, say)
    if isinstance(drawn, str):
        payload, payload_how = float(sampling.payload_size(Upsert.model_validate(EXAMPLE))), "of an example"
    else:
        payload, payload_how = drawn.payload_bytes, f"the mean of {sampling.DOCUMENTS} products of the index"
    catalog = sizes.Catalog(products, images_in_all, measured.dimension, payload)
    kept = tuple(Kept(each, sizes.memory(catalog, each), sizes.disk(catalog, each)) for each in STORAGES)
    lost, losses_how = _losses(drawn, say)
    return Plan(catalog, payload_how, measured, kept, lost, losses_how)


def _rates(
    settings: Settings, drawn: sampling.Sample | str, folder: Path | None, seconds: float, say: Say
) -> rates.Rates:
    if folder is not None:
        local = settings.images.model_copy(update={"local_root": folder.resolve()})
        settings = settings.model_copy(update={"images": local})
        found = images.in_folder(folder)
    else:
        found = _images_at_hand(settings, drawn, say)
    if not found:
        return rates.of_encoder(settings, seconds, say)
    return rates.of_images(settings, lambda *_: found, seconds, say)


def _images_at_hand(settings: Settings, drawn: sampling.Sample | str, say: Say) -> list[str]:
    if isinstance(drawn, sampling.Sample) and (found := rates.readable(settings, drawn.uris, say)):
        return found
    if not settings.s3.buckets:
        return []
    with closing(ImageSource(settings.s3, settings.images)) as source:
        return images.in_buckets(settings, source)


def _losses(drawn: sampling.Sample | str, say: Say) -> tuple[tuple[losses.Loss, ...], str]:
    if isinstance(drawn, str):
        return (), f"recall was not measured: {drawn}"
    if len(drawn.looks) < losses.LEAST_PRODUCTS:
        least = losses.LEAST_PRODUCTS
        return (), f"recall was not measured: {len(drawn.looks)} products are too few, {least} are needed"
    found = tuple(losses.measure(drawn.looks, say))
    asked = min(losses.ASKED, len(drawn.looks))
    how = (
        f"{asked} products asked among {len(drawn.looks)} of the index, {len(drawn.looks.vectors)} rows of "
        f"{drawn.encoder}, against float32 in numpy; in a larger catalog neighbours lie closer, and codes "
        "miss more (--sample N)"
    )
    return found, how
