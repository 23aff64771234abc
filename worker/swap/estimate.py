"""What a swap takes, before it is begun: counted in the index, measured on this machine."""

import resource
import time
from collections.abc import Generator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import torch

from config.settings import ConfigurationError, EncoderSettings
from recommender.encoders.protocol import Encoder
from recommender.encoders.recipe import Recipe
from recommender.encoders.registry import spec_of
from recommender.errors import InvalidEvent, JobStopped, StartupError, UnknownEncoder
from recommender.events import Reindex
from recommender.quality.photos import Photos
from worker.delivery import Delivery
from worker.jobs.book import job_scope
from worker.jobs.steps import Job, Position, run_job
from worker.runtime import Runtime

PAGE = 1024
SAMPLE = 64
"""Images that are fetched, decoded and embedded for the measurement."""
ROUNDS = 3


class EstimatePosition(Position):
    """How far the index was counted, and the images that will be measured with."""

    cursor: str | None = None
    counted: bool = False
    points: int = 0
    products: int = 0
    images: int = 0
    sample: tuple[str, ...] = ()


def recipe_for(name: str, settings: EncoderSettings) -> Recipe:
    """How the encoder of this name is loaded: as the settings say if they name it, else as the registry does.

    Raises:
        InvalidEvent: there is no such encoder.
    """
    try:
        spec_of(name)
    except UnknownEncoder as error:
        raise InvalidEvent("encoder", str(error)) from error
    if name == settings.name:
        return Recipe.of(settings)
    return Recipe.of(settings.model_copy(update={"name": name, "weights": None}))


def loaded(runtime: Runtime, recipe: Recipe) -> Encoder:
    """Load an encoder, which takes seconds, to look at it.

    Raises:
        JobStopped: it can't be loaded here; the message says why.
    """
    try:
        return runtime.resources.opener.load(recipe)
    except (StartupError, ConfigurationError) as error:
        raise JobStopped(f"{recipe.name} can't be loaded: {error}") from error


def estimate_job(delivery: Delivery, wanted: Reindex) -> None:
    """Count, measure and report; nothing is created.

    Raises:
        InvalidEvent: no encoder is named, or a scope is.
        TransientError: the index or the broker failed; this step may be tried again.
    """
    if wanted.encoder is None or wanted.scope is not None:
        raise InvalidEvent("dry_run", "name the encoder of a swap, and no scope")
    recipe = recipe_for(wanted.encoder, delivery.runtime.settings.encoder)

    def work(place: EstimatePosition, job: Job) -> Generator[EstimatePosition, None, None]:
        job.phase("counting")
        while not place.counted:
            place = _count(delivery, place)
            job.done(place.points)
            yield place
        job.phase("measuring")
        job.report |= _measured(delivery, recipe, place)

    run_job(delivery, job_scope(wanted), EstimatePosition(), work)


def _count(delivery: Delivery, place: EstimatePosition) -> EstimatePosition:
    with delivery.runtime.resources.serving.lease() as pair:
        page = pair.index.census(limit=PAGE, cursor=place.cursor)
    images = [image.uri for entry in page.entries for image in entry.images if image.row is not None]
    return EstimatePosition(
        cursor=page.cursor,
        counted=page.cursor is None,
        points=place.points + len(page.entries),
        products=place.products + sum(bool(entry.digest) for entry in page.entries),
        images=place.images + len(images),
        sample=(*place.sample, *dict.fromkeys(images))[:SAMPLE],
    )


def _measured(delivery: Delivery, recipe: Recipe, place: EstimatePosition) -> dict[str, Any]:
    runtime = delivery.runtime
    before_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    encoder = loaded(runtime, recipe)
    delivery.watch.progress()
    read_per_s, pixels = _reading(delivery, encoder, place.sample)
    forward_per_s = _forward(encoder, pixels)
    together = _together(read_per_s, forward_per_s, encoder.device)
    grown_kib = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before_kib
    dimension = encoder.spec.dimension
    return {
        "encoder": encoder.fingerprint,
        "device": encoder.device,
        "points": place.points,
        "products": place.products,
        "images": place.images,
        "fetched_and_decoded_per_s": round(read_per_s, 1),
        "embedded_per_s": round(forward_per_s, 1),
        "images_per_s": round(together, 1),
        "hours": round(place.images / together / 3600, 2) if together else None,
        "memory_mib": round(grown_kib / 1024),
        "vectors_mib": round(place.images * dimension * 4 / 2**20, 1),
        "dimension": dimension,
    }


def _reading(delivery: Delivery, encoder: Encoder, uris: tuple[str, ...]) -> tuple[float, list[torch.Tensor]]:
    """Images fetched and decoded in a second, as many at a time as the worker does, and their pixels."""
    settings = delivery.runtime.settings.images
    photos = Photos(delivery.runtime.resources.source, settings.max_pixels)
    how = encoder.spec.preprocessing
    started = time.perf_counter()
    with ThreadPoolExecutor(settings.threads) as threads:
        found = list(threads.map(lambda uri: photos.pixels(uri, None, how), uris))
    took_s = time.perf_counter() - started
    return len(uris) / took_s, [pixels for pixels in found if pixels is not None]


def _forward(encoder: Encoder, pixels: list[torch.Tensor]) -> float:
    """Images embedded in a second; 0 where there are none to measure with."""
    if not pixels:
        return 0.0
    batch = torch.stack(pixels[:32])
    encoder.encode_images(batch)
    best_s = float("inf")
    for _ in range(ROUNDS):
        started = time.perf_counter()
        encoder.encode_images(batch)
        best_s = min(best_s, time.perf_counter() - started)
    return len(batch) / best_s


def _together(read_per_s: float, forward_per_s: float, device: str) -> float:
    """A CPU does both with the same cores, one after the other; a GPU embeds while the cores read."""
    if not read_per_s or not forward_per_s:
        return 0.0
    if device == "cpu":
        return 1 / (1 / read_per_s + 1 / forward_per_s)
    return min(read_per_s, forward_per_s)
