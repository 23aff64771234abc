"""One index engine with what writes to it and what asks it, and the comparison with the oracle."""

from collections import Counter
from collections.abc import Iterable, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, ThreadPoolExecutor, wait
from contextlib import ExitStack
from itertools import count
from random import Random
from typing import Self

from config.settings import Settings
from recommender.encoders.batcher import DynamicBatcher
from recommender.errors import IndexUnavailable, RaceLost
from recommender.events import parse_product_event
from recommender.images.source import ImageSource
from recommender.index.open import open_engine
from recommender.similar import Recommender
from tests.chaos.shuffle.comparison import Comparison, Mismatch
from tests.chaos.shuffle.faulty_index import FaultyIndex
from tests.chaos.shuffle.oracle import Document
from tests.chaos.shuffle.sequences import PRODUCTS, Arrivals, batches
from tests.pixels import PixelEncoder
from worker.pipeline import Pipeline
from worker.plan import Embed, Event
from worker.report import Report

THREADS = 4
MOST_FAULTS = 8
ROUNDS_OF_A_COLLECTION = 40


class Bench:
    """An engine in use: an empty collection now and then, and sequences of events applied to it."""

    def __init__(self, settings: Settings, uris: Sequence[str]) -> None:
        self._uris = uris
        self._settings = settings
        self._stack = ExitStack()
        self._engine = open_engine(settings)
        self._stack.callback(self._engine.close)
        self._batcher = DynamicBatcher(PixelEncoder(), settings.encoder.max_batch_size)
        self._stack.callback(self._batcher.close)
        self._source = ImageSource(settings.s3, settings.images)
        self._stack.callback(self._source.close)
        self._threads = self._stack.enter_context(ThreadPoolExecutor(THREADS))
        self._collection = self._stack.enter_context(ExitStack())
        self._numbers = count()
        self.delivered = 0
        self.faults: Counter[str] = Counter()
        self.used_up = True

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    def _renew(self) -> None:
        """Go on with an empty collection, so that every search can ask for all that it holds.

        The one before is dropped: hundreds of them would fill the memory that they lie in.
        """
        self._collection.close()
        fingerprint = f"pixels-{next(self._numbers)}"
        self._engine.create(fingerprint, PixelEncoder.spec.dimension)
        self._collection.callback(self._engine.drop, fingerprint)
        self.index = FaultyIndex(self._engine.open(fingerprint), self.faults)
        self._collection.callback(self.index.close)
        self._pipeline = Pipeline(self.index, self._batcher, self._source, self._settings)  # type: ignore[arg-type]
        self._collection.callback(self._pipeline.close)
        recommender = Recommender(self.index.index, self._batcher, self._source, self._settings)
        self._comparison = Comparison(self.index.index, recommender, self._uris)
        self._rounds = 0
        self.used_up = False

    def check(self, arrivals: Arrivals) -> None:
        """Apply the events as they arrive, with faults; then their other copies; then repair.

        Half of the time every event arrives once at first: a copy that comes later would make good what one
        before it had lost.

        Raises:
            Mismatch: what is there then is not what the oracle says.
        """
        if self.used_up or self._rounds == ROUNDS_OF_A_COLLECTION:
            self._renew()
        self.used_up = True  # unless this ends well
        chance, number = Random(arrivals.arrival), next(self._numbers)
        ids = [f"p/{number}-{n}" for n in range(PRODUCTS)]
        sent = arrivals.sent(ids, self._uris)
        first, later = chance.choice((((0,), (1, 2)), ((0, 1, 2), (0,))))
        self.index.misbehave(Random(chance.random()), chance.randint(0, MOST_FAULTS))
        arriving = [[_event(*one) for one in batch] for batch in batches(sent, first, chance)]
        for n in range(chance.randint(0, PRODUCTS)):
            arriving[chance.randrange(len(arriving))].append(Embed(id=ids[n]))
        self._drain(arriving)
        self.index.settle()
        self._comparison.check("after all events", ids, sent)
        for batch in batches(sent, later, chance):
            self._repeat([_event(*one) for one in batch])
        self._comparison.check("after all events again", ids, sent)
        self._drain([[Embed(id=product)] for product in ids])
        self._comparison.check("after a repair", ids, sent)
        self._rounds, self.used_up = self._rounds + 1, False

    def _drain(self, arriving: Iterable[list[Event]]) -> None:
        """Apply batches from several threads; what is left to retry is a batch that arrives later."""
        running: set[Future[Report]] = {self._threads.submit(self._apply, batch) for batch in arriving}
        while running:
            done, running = wait(running, return_when=FIRST_COMPLETED)
            for future in done:
                report = future.result()
                for retry in report.retry:
                    if not isinstance(retry.error, IndexUnavailable | RaceLost):
                        raise Mismatch("report", f"nobody injected {retry.error!r}")
                again = [*(retry.event for retry in report.retry), *report.rest]
                if again:
                    running.add(self._threads.submit(self._apply, again))

    def _apply(self, batch: Sequence[Event]) -> Report:
        report = self._pipeline.apply(batch)
        self.delivered += len(batch)
        told = [*report.applied, *report.stale, *report.unchanged, *report.rest]
        told += [retry.event for retry in report.retry]
        if sorted(map(id, told)) != sorted(map(id, batch)):
            raise Mismatch("report", f"of {batch} it accounts for {told}")
        return report

    def _repeat(self, batch: Sequence[Event]) -> None:
        report = self._apply(batch)
        if report.applied or report.retry:
            raise Mismatch("report", f"repeated, yet reported as new: {report.applied + report.retry}")


def _event(kind: str, document: Document) -> Event:
    return parse_product_event(kind, document)
