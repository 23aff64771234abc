"""How right live answers are: a share of the searches is repeated exactly, in the background."""

import logging
import random
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields, replace
from queue import Full, Queue

from recommender import metrics
from recommender.catalog import Filter
from recommender.errors import LookalikeError, ShuttingDown
from recommender.index.protocol import Hit, ProductIndex, Search
from recommender.index.strategy import EXACT

log = logging.getLogger(__name__)
MEASURED = 10
"""The k of recall@k, where a search asked for as many."""
_WAITING = 16
_REST = 9
"""How many times as long as it worked the thread rests, so that it takes a tenth of one core at most."""
_ROUNDING = 1e-5  # a walk and an exact search add up a cosine in different orders
_STOP_S = 5

_CONDITION = {
    "price_min": "price",
    "price_max": "price",
    "currency": "price",
    "in_stock": "stock",
    "attributes": "attribute",
    "ranges": "attribute",
    "exclude_groups": "exclusion",
    "exclude_brands": "exclusion",
}
_OF_EVERY_QUESTION = "exclude_ids"  # a question excludes its own seeds


class RecallSampler:
    """Measures recall@10 of a share of an index's searches, on a thread of its own.

    A search is never held up: while the thread is behind, samples are dropped.

    Args:
        index: whose searches it watches until it is closed.
        share: of the searches that are repeated, in (0, 1].
        rest: how many times as long as a repetition took the thread sleeps after it.
    """

    def __init__(self, index: ProductIndex, share: float, *, rest: float = _REST) -> None:
        self._index = index
        self._share = share
        self._rest = rest
        self._waiting: Queue[tuple[Search, list[float]] | None] = Queue(_WAITING)
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, name="recall", daemon=True)
        self._thread.start()
        index.on_search = self._searched

    def close(self) -> None:
        """Watch no more and end the thread; what waits is not measured. Safe to call twice."""
        self._index.on_search = None
        self._closing.set()
        with suppress(Full):  # then it does not wait for anything
            self._waiting.put_nowait(None)
        self._thread.join(_STOP_S)

    def _searched(self, search: Search, hits: Sequence[Hit]) -> None:
        if random.random() >= self._share:  # noqa: S311  # chance without secrets
            return
        measured = replace(search, limit=min(search.limit, MEASURED))
        try:
            self._waiting.put_nowait((measured, [hit.relevance for hit in hits[: measured.limit]]))
        except Full:
            metrics.RECALL_DROPPED.inc()

    def _run(self) -> None:
        while (waiting := self._waiting.get()) is not None and not self._closing.is_set():
            started = time.monotonic()
            try:
                self._measure(*waiting)
            except ShuttingDown:
                return
            except LookalikeError as error:  # the index is away: its users say so too
                log.warning("recall_not_measured", extra={"reason": str(error)})
            except Exception:
                log.exception("recall_not_measured")
            self._closing.wait(self._rest * (time.monotonic() - started))

    def _measure(self, search: Search, relevances: Sequence[float]) -> None:
        exact = self._index.search(
            search.vectors,
            search.where,
            limit=search.limit,
            min_score=search.min_score,
            weights=search.weights,
            strategy=EXACT,
        )
        if not exact:
            return
        least = exact[-1].relevance - _ROUNDING
        found = min(sum(relevance >= least for relevance in relevances), len(exact))
        shape = shape_of(search.where)
        metrics.RECALL.labels(shape).observe(found / len(exact))
        log.debug("recall_measured", extra={"filter": shape, "found": found, "of": len(exact)})


def shape_of(where: Filter) -> str:
    """What kind of condition the filter has: none, category, price, ..., or several.

    Products that are excluded by id are none: every question excludes its seeds.
    """
    given = {
        _CONDITION.get(field.name, field.name)
        for field in fields(where)
        if field.name != _OF_EVERY_QUESTION and getattr(where, field.name) not in (None, (), {})
    }
    return "several" if len(given) > 1 else next(iter(given), "none")
