"""The whole measurement: stage by stage, and then all of them together, on an index of its own."""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass
from itertools import count, cycle

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
Uris = Callable[[Settings, ImageSource], list[str]]


@dataclass(frozen=True, slots=True)
class Measured:
    """What `lookalike bench` prints. `whole` is images/s through all stages, without Celery and Redis."""

    encoder: str
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
        messages = _messages(uris)
        say("writing to the index")
        stored = StoredRows(encoder.spec.dimension)
        rate = _applied_per_s(pipeline, messages, seconds, stored)
        written = Stage("index", rate, f"{settings.index_url}, {MAX_DOCUMENTS} products a message")
        say("all of it together")
        whole = _applied_per_s(pipeline, messages, 2 * seconds, None)
    return _judged(settings, encoder, (fetched, decoded, embedded, written), whole)


def _judged(settings: Settings, encoder: Encoder, found: tuple[Stage, ...], whole: float) -> Measured:
    input_px = encoder.spec.preprocessing.input_px
    verdict = judge(found, whole, encoder.device, settings.images.threads, input_px)
    return Measured(encoder.fingerprint, encoder.device, found, whole, verdict)


def _messages(uris: Sequence[str]) -> Iterator[list[Upsert]]:
    """New products without end, an image each, in full messages."""
    images, numbers = cycle(uris), count()
    while True:
        yield [
            Upsert.model_validate(
                {"id": f"bench-{next(numbers)}", "version": 1, "images": [next(images)], "category": "bench"}
            )
            for _ in range(min(MAX_DOCUMENTS, len(uris)))  # an image twice in a message is fetched once
        ]


def _applied_per_s(
    pipeline: Pipeline, messages: Iterator[list[Upsert]], seconds: float, images: ImageStage | None
) -> float:
    pipeline.apply(next(messages), images=images)
    products, started = 0, time.perf_counter()
    while (took := time.perf_counter() - started) < seconds:
        products += _counted(pipeline.apply(next(messages), images=images))
    return products / took


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
