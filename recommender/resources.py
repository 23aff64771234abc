"""What one process owns, built once and closed once; worker and API share it."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass, field
from types import TracebackType
from typing import Self, TypeVar

from config.settings import EncoderSettings, Settings
from recommender.encoders.batcher import DynamicBatcher
from recommender.encoders.load import load_encoder
from recommender.encoders.protocol import Encoder
from recommender.images.source import ImageSource
from recommender.index.open import open_engine, open_serving_index
from recommender.index.protocol import IndexEngine, ProductIndex
from recommender.index.recall import RecallSampler
from recommender.similar import Recommender
from recommender.waiting import Stopped, wait_for, without_password

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Resources:
    """The expensive parts of a process. Every one is thread-safe, save `encoder`: ask the batcher."""

    engine: IndexEngine
    encoder: Encoder
    index: ProductIndex
    batcher: DynamicBatcher
    source: ImageSource
    recommender: Recommender
    _closing: "ExitStack[None]" = field(repr=False, compare=False)

    def close(self) -> None:
        """Close all of it, the last built first; safe to call twice."""
        self._closing.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def open_resources(
    settings: Settings,
    load: Callable[[EncoderSettings], Encoder] = load_encoder,
    *,
    stopped: Stopped | None = None,
) -> Resources:
    """Build all of it; what was built is closed again when a later part fails.

    The index comes first: that another process owns it is known at once, a model takes seconds.
    `load` is another way to an encoder. With `stopped` the index is waited for.

    Raises:
        StartupError: this process must not start; the message says why.
        IndexUnavailable: the server of the index does not answer, and nobody waits for it.
        ShuttingDown: `stopped` said so while it waited.
    """

    def reached(attempt: Callable[[], T]) -> T:
        where = without_password(settings.index_url)
        return attempt() if stopped is None else wait_for("index", where, attempt, stopped)

    stack: ExitStack[None] = ExitStack()
    with stack:
        stack.callback(log.info, "resources_closed")
        engine = reached(lambda: open_engine(settings))
        stack.callback(engine.close)
        encoder = load(settings.encoder)
        index = reached(lambda: open_serving_index(engine, encoder.fingerprint, encoder.spec.dimension))
        stack.callback(index.close)
        if settings.index.recall_sample:
            stack.callback(RecallSampler(index, settings.index.recall_sample).close)
        batcher = DynamicBatcher(encoder, settings.encoder.max_batch_size)
        stack.callback(batcher.close)
        source = ImageSource(settings.s3, settings.images)
        stack.callback(source.close)
        recommender = Recommender(index, batcher, source, settings)
        log.info(
            "resources_opened",
            extra={"encoder": encoder.fingerprint, "device": encoder.device, "index": settings.index_url},
        )
        return Resources(engine, encoder, index, batcher, source, recommender, stack.pop_all())
