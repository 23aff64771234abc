"""From a collection to the pair that serves from it: its encoder is loaded by the recipe beside it."""

import logging
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from typing import Protocol, TypeVar

from config.settings import EncoderSettings, Settings
from recommender import metrics
from recommender.encoders.batcher import DynamicBatcher
from recommender.encoders.protocol import Encoder
from recommender.encoders.recipe import Recipe
from recommender.errors import EncoderMismatch, StartupError
from recommender.images.source import ImageSource
from recommender.index.open import open_serving_index
from recommender.index.protocol import IndexEngine, ProductIndex
from recommender.index.recall import RecallSampler
from recommender.serving import Pair
from recommender.similar import Recommender

log = logging.getLogger(__name__)
T = TypeVar("T")


class Reached(Protocol):
    """Calls what asks the index."""

    def __call__(self, attempt: Callable[[], T], /) -> T:
        """Return its answer."""
        ...


def serving_settings(engine: IndexEngine, settings: EncoderSettings) -> EncoderSettings:
    """What to load the encoder of the serving collection by: its recipe; where it has none, these settings.

    Raises:
        StartupError: the alias names a collection that is not there.
        IndexUnavailable: the index does not answer.
    """
    serving = engine.serving()
    recipe = None if serving is None else recipe_of(engine, serving)
    return settings if recipe is None else recipe.on(settings)


def recipe_of(engine: IndexEngine, fingerprint: str) -> Recipe | None:
    """The recipe of a collection.

    Raises:
        StartupError: the collection is not there.
        IndexUnavailable: the index does not answer.
    """
    try:
        return engine.recipe(fingerprint)
    except KeyError as error:
        raise StartupError(
            f"the collection of {fingerprint} is not there: restore it, or point the alias at another one"
        ) from error


class PairOpener:
    """Opens pairs with what the process has only once. Blocks for the seconds that an encoder takes."""

    def __init__(
        self,
        engine: IndexEngine,
        source: ImageSource,
        settings: Settings,
        load: Callable[[EncoderSettings], Encoder],
    ) -> None:
        self._engine = engine
        self._source = source
        self._settings = settings
        self._load = load

    def load(self, recipe: Recipe) -> Encoder:
        """Load an encoder by its recipe, on this machine.

        Raises:
            StartupError: it can't be loaded; the message says why.
            ConfigurationError: this machine's settings don't fit it.
        """
        return self._load(recipe.on(self._settings.encoder))

    def first(self, reached: Reached) -> Pair:
        """Open the pair that the alias names; the first process creates and promotes what its settings name.

        `reached` may wait while the index is away.

        Raises:
            EncoderMismatch: the encoder that was loaded is not the one that filled the collection.
            StartupError: the encoder can't be loaded, or the index belongs to another process.
            IndexUnavailable: the index does not answer.
        """
        own = self._settings.encoder
        while True:
            serving = reached(self._engine.serving)
            by = reached(lambda: serving_settings(self._engine, own))
            if Recipe.of(by) != Recipe.of(own):
                log.info("encoder_follows_alias", extra={"serving": serving, "configured": own.name})
            encoder = self._load(by)
            try:
                index = reached(partial(self._serving_index, encoder, Recipe.of(by)))
            except EncoderMismatch:
                if reached(self._engine.serving) == serving:
                    raise  # else it was promoted since it was looked at
            else:
                return self._pair(encoder, index, by)

    def open(self, fingerprint: str) -> Pair:
        """Open the pair of any collection.

        Raises:
            EncoderMismatch: its recipe gives another encoder than the one that filled it.
            StartupError: the collection is not there, or its encoder can't be loaded.
            ConfigurationError: this machine's settings don't fit the encoder.
            IndexUnavailable: the index does not answer.
        """
        recipe, own = recipe_of(self._engine, fingerprint), self._settings.encoder
        by = own if recipe is None else recipe.on(own)
        encoder = self._load(by)
        if encoder.fingerprint != fingerprint:
            raise EncoderMismatch(
                f"for the collection of {fingerprint} this machine loads {encoder.fingerprint}: restore the "
                f"weights and calibration images that it was filled with ({by.weights or by.name})"
            )
        try:
            index = self._engine.open(fingerprint)
        except KeyError as error:
            raise StartupError(f"the collection of {fingerprint} was dropped") from error
        return self._pair(encoder, index, by)

    def _serving_index(self, encoder: Encoder, recipe: Recipe) -> ProductIndex:
        return open_serving_index(self._engine, encoder.fingerprint, encoder.spec.dimension, recipe)

    def _pair(self, encoder: Encoder, index: ProductIndex, by: EncoderSettings) -> Pair:
        stack: ExitStack[None] = ExitStack()
        with stack:
            stack.callback(log.info, "pair_closed", extra={"encoder": encoder.fingerprint})
            stack.callback(metrics.ENCODER_INFO.remove_by_labels, {"encoder": encoder.fingerprint})
            stack.callback(index.close)
            if self._settings.index.recall_sample:
                stack.callback(RecallSampler(index, self._settings.index.recall_sample).close)
            batcher = DynamicBatcher(encoder, by.max_batch_size)
            stack.callback(batcher.close)
            recommender = Recommender(index, batcher, self._source, self._settings)
            log.info("pair_opened", extra={"encoder": encoder.fingerprint, "device": encoder.device})
            return Pair(encoder, batcher, index, recommender, by, stack.pop_all())
