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
from recommender.following import Follower
from recommender.images.source import ImageSource
from recommender.index.open import open_engine
from recommender.index.protocol import IndexEngine, ProductIndex
from recommender.pairs import PairOpener
from recommender.redis_client import open_redis
from recommender.serving import Serving
from recommender.similar import Recommender
from recommender.swap_state import Kind, SwapBook
from recommender.waiting import Stopped, wait_for, without_password

log = logging.getLogger(__name__)
T = TypeVar("T")


@dataclass(frozen=True)
class Resources:
    """The expensive parts of a process. Every one is thread-safe, save `encoder`: ask the batcher.

    `encoder`, `batcher`, `index` and `recommender` are those of the pair that serves now, for processes that
    don't follow the alias. Where it may be flipped, whoever asks twice takes one pair by `serving.lease()`.
    """

    engine: IndexEngine
    serving: Serving
    opener: PairOpener
    source: ImageSource
    follower: Follower | None
    """None in a process that keeps what it began with."""
    _closing: "ExitStack[None]" = field(repr=False, compare=False)

    @property
    def encoder(self) -> Encoder:
        """That of the serving pair."""
        return self.serving.current.encoder

    @property
    def batcher(self) -> DynamicBatcher:
        """That of the serving pair."""
        return self.serving.current.batcher

    @property
    def index(self) -> ProductIndex:
        """That of the serving pair."""
        return self.serving.current.index

    @property
    def recommender(self) -> Recommender:
        """That of the serving pair."""
        return self.serving.current.recommender

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
    following: Kind | None = None,
) -> Resources:
    """Build all of it; what was built is closed again when a later part fails.

    The encoder is that of the collection which the alias names; the settings' own for a catalog that begins.

    Args:
        settings: the whole tree.
        load: another way to an encoder.
        stopped: the index is waited for, until it says so.
        following: what this process is, if it follows alias and swaps from then on.

    Raises:
        StartupError: this process must not start; the message says why.
        IndexUnavailable: the server of the index does not answer, and nobody waits for it.
        ShuttingDown: `stopped` said so while it waited.
    """

    def reached(attempt: Callable[[], T], /) -> T:
        where = without_password(settings.index_url)
        return attempt() if stopped is None else wait_for("index", where, attempt, stopped)

    stack: ExitStack[None] = ExitStack()
    with stack:
        stack.callback(log.info, "resources_closed")
        engine = reached(lambda: open_engine(settings))
        stack.callback(engine.close)
        source = ImageSource(settings.s3, settings.images)
        stack.callback(source.close)
        opener = PairOpener(engine, source, settings, load)
        serving = Serving(opener.first(reached))
        stack.callback(serving.close)
        follower = None
        if following is not None:
            swaps = None
            if settings.redis.url is not None:
                client = stack.enter_context(open_redis(settings.redis))
                swaps = SwapBook(client, settings.catalog)
            follower = Follower(engine, serving, opener, swaps, following)
            stack.callback(follower.close)
            follower.start()
        encoder = serving.current.encoder
        log.info(
            "resources_opened",
            extra={"encoder": encoder.fingerprint, "device": encoder.device, "index": settings.index_url},
        )
        return Resources(engine, serving, opener, source, follower, stack.pop_all())
