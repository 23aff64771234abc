"""A pipeline for each pair that messages are written to, made when the first one comes and closed with it."""

from threading import Lock

from config.settings import Settings
from recommender.images.source import ImageSource
from recommender.serving import Pair
from worker.breaker import Breakers
from worker.pipeline import Pipeline


class Pipelines:
    """The pipelines of one process. Thread-safe."""

    def __init__(self, source: ImageSource, settings: Settings, breakers: Breakers) -> None:
        self._source = source
        self._settings = settings
        self._breakers = breakers
        self._lock = Lock()
        self._pipelines: dict[Pair, Pipeline] = {}

    def of(self, pair: Pair) -> Pipeline:
        """The pipeline into this pair, which the caller has taken."""
        with self._lock:
            if pair not in self._pipelines:
                self._pipelines[pair] = Pipeline(
                    pair.index, pair.batcher, self._source, self._settings, self._breakers
                )
                pair.closes_with(lambda: self._close(pair))
            return self._pipelines[pair]

    def _close(self, pair: Pair) -> None:
        with self._lock:
            pipeline = self._pipelines.pop(pair)
        pipeline.close()
