"""The whole measurement: stage by stage, and then all of them together, on an index of its own."""

import secrets
import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, closing
from dataclasses import dataclass
from functools import partial
from itertools import count, cycle
from threading import Lock

from config.settings import Settings
from recommender.encoders.batcher import DynamicBatcher
from recommender.encoders.load import load_encoder
from recommender.encoders.protocol import Encoder
from recommender.events import MAX_DOCUMENTS, Upsert
from recommender.images.source import ImageSource
from worker.bench import stages
from worker.bench.rows import StoredRows
from worker.bench.scratch_index import scratch_index
from worker.bench.verdict import Stage, Verdict, judge
from worker.embedding import ImageStage
from worker.pipeline import Pipeline
from worker.report import Report

Say = Callable[[str], None]
PARTS = 4
"""Messages that each thread works on while the whole is measured, so that the end, when some have none, is
short."""
Uris = Callable[[Settings, ImageSource], list[str]]


@dataclass(frozen=True, slots=True)
class Measured:
    """What `lookalike bench` prints. `whole` is images/s through all stages, without Celery and Redis."""

    encoder: str
    dimension: int
    device: str
    stages: tuple[Stage, ...]
    whole: float
    verdict: Verdict


def measure(settings: Settings, uris_of: Uris, seconds: float, say: Say) -> Measured:
    """Measure every stage for about `seconds` each, and the whole. Nothing of the catalog is touched.

    Args:
        settings: of the worker that is to be judged.
        uris_of: which images, given the source that can read them.
        seconds: that a stage is measured for.
        say: told what is measured next.

    Raises:
        ConfigurationError: there are no images, or the encoder can't be loaded as configured.
        LookalikeError: an image can't be read, or the index or the store does not answer.
    """
    images = settings.images
    with ExitStack() as opened:
        source = opened.enter_context(closing(ImageSource(settings.s3, images)))
        uris = uris_of(settings, source)
        say("fetching")
        fetched, files = stages.fetching(source, uris, images.threads, seconds)
        say("loading the encoder")
        encoder = load_encoder(settings.encoder)
        say("decoding")
        decoded, pixels = stages.decoding(encoder, files, images.threads, images.max_pixels, seconds)
        say("embedding")
        embedded = stages.embedding(encoder, pixels, settings.encoder.max_batch_size, seconds)
        index = opened.enter_context(scratch_index(settings, encoder.fingerprint, encoder.spec.dimension))
        batcher = opened.enter_context(closing(DynamicBatcher(encoder, settings.encoder.max_batch_size)))
        pipeline = opened.enter_context(Pipeline(index, batcher, source, settings))
        say("writing to the index")
        at_a_time, stored = settings.worker.concurrency, StoredRows(encoder.spec.dimension)
        applied = partial(_applied_per_s, pipeline, at_a_time=at_a_time)
        full = min(MAX_DOCUMENTS, len(uris))  # an image twice in a message is fetched once
        rate = applied(_messages(uris, full), seconds, images=stored)
        said = f"{settings.index_url}, {at_a_time} messages of {full} products at a time"
        found = (fetched, decoded, embedded, Stage("index", rate, said))
        say("all of it together")
        slowest = min(stage.images_per_s for stage in found)
        size = max(1, min(full, round(slowest * 2 * seconds / PARTS / at_a_time)))
        whole = applied(_messages(uris, size), 2 * seconds, images=None)
    return _judged(settings, encoder, found, whole)


def _judged(settings: Settings, encoder: Encoder, found: tuple[Stage, ...], whole: float) -> Measured:
    input_px = encoder.spec.preprocessing.input_px
    verdict = judge(found, whole, encoder.device, settings.images.threads, input_px)
    dimension = encoder.spec.dimension
    return Measured(encoder.fingerprint, dimension, encoder.device, found, whole, verdict)


def _messages(uris: Sequence[str], size: int) -> Iterator[list[Upsert]]:
    """New products without end, an image each, in messages of `size`."""
    images, run = cycle(uris), secrets.token_hex(4)
    for number in count():
        yield [
            Upsert.model_validate(
                {"id": f"{run}-{number}-{row}", "version": 1, "images": [next(images)], "category": "bench"}
            )
            for row in range(size)
        ]


def _applied_per_s(
    pipeline: Pipeline,
    messages: Iterator[list[Upsert]],
    seconds: float,
    *,
    at_a_time: int,
    images: ImageStage | None,
) -> float:
    """Products/s with as many messages at a time as a worker has in hand, until all of them are through."""
    pipeline.apply(next(messages), images=images)
    taking = Lock()
    started = time.perf_counter()

    def apply(_: int) -> int:
        products = 0
        while not products or time.perf_counter() - started < seconds:
            with taking:
                message = next(messages)
            products += _counted(pipeline.apply(message, images=images))
        return products

    with ThreadPoolExecutor(at_a_time) as threads:
        products = sum(threads.map(apply, range(at_a_time)))
        return products / (time.perf_counter() - started)


def _counted(report: Report) -> int:
    """How many were applied.

    Raises:
        PermanentError: an image failed.
        TransientError: something was away.
    """
    if report.failed:
        raise report.failed[0].error
    if report.retry:
        raise report.retry[0].error
    return len(report.applied)
