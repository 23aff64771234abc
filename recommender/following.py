"""A thread that follows the alias and the swap: it opens, serves and closes pairs, and says what it has."""

import logging
import threading
import time
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass

from config.settings import ConfigurationError
from recommender.errors import LookalikeError, TransientError
from recommender.index.protocol import IndexEngine
from recommender.pairs import PairOpener
from recommender.serving import Pair, Serving
from recommender.swap_state import REPORT_S, Kind, ProcessReport, SwapBook, SwapState

log = logging.getLogger(__name__)
LOOK_S = 1.0
OPEN_AGAIN_S = 30.0
"""After an encoder could not be loaded: each attempt takes seconds, and memory."""


@dataclass(frozen=True, slots=True)
class _Failure:
    why: str
    again_at: float


class Follower:
    """Keeps the pairs of a process what alias and swap say. While the index or Redis is away, it serves on.

    A swap's pairs are open from when the swap is known until it has ended; whatever the alias names is opened
    first and served then, so that questions have a pair at all times. Encoders are loaded, and pairs closed,
    on a thread of their own: this one goes on reporting meanwhile.

    Args:
        engine: whose alias it follows.
        serving: the pairs, the first one open.
        opener: opens others.
        swaps: None without a Redis: it follows the alias alone then, and nobody hears of it.
        kind: what this process is, for its reports.
    """

    def __init__(
        self, engine: IndexEngine, serving: Serving, opener: PairOpener, swaps: SwapBook | None, kind: Kind
    ) -> None:
        self._engine = engine
        self._serving = serving
        self._opener = opener
        self._swaps = swaps
        self._kind = kind
        self._alias = serving.current.fingerprint
        self._swap: SwapState | None = None
        self._swap_is_known = swaps is None
        self._gone: frozenset[str] = frozenset()
        self._looking = threading.Lock()  # what was read first must not be taken for what is known last
        self._failures: dict[str, _Failure] = {}
        self._failed_swap: str | None = None
        self._opening: tuple[str, Future[Pair]] | None = None
        self._closing: dict[Pair, Future[None]] = {}
        self._work = ThreadPoolExecutor(1, thread_name_prefix="pairs")
        self._away: set[str] = set()
        self._said: ProcessReport | None = None
        self._said_at = 0.0
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name="follower", daemon=True)

    @property
    def is_alive(self) -> bool:
        """Whether alias and swap are followed; for the readiness probe."""
        return self._thread.is_alive()

    def start(self) -> None:
        """Open what is wanted now, and start the thread. Blocks until all of it is open, or can't be.

        What it has is said before the swap is read: whoever begins a swap afterwards waits for this process.
        """
        if self._swaps is not None:
            self._serving.looks_by(self._look)
        self._attempt("redis", self._report)
        self.follow()
        while self._opening is not None:
            self._opening[1].exception()
            self.follow()
        self._thread.start()

    def close(self) -> None:
        """End the threads, once what they have in hand is done; open pairs stay open."""
        self._stopping.set()
        if self._thread.ident is not None:
            self._thread.join()
        self._work.shutdown(cancel_futures=True)
        self._settle_opening()
        for pair in self._closing:
            pair.close()
        if self._swaps is not None:
            self._attempt("redis", self._swaps.leave)

    def follow(self) -> None:
        """Look once, do what can be done at once and begin the rest. Called by one thread at a time."""
        self._settle_opening()
        alias = self._attempt("index", self._look_at_alias)
        swap = self._attempt("redis", self._look_at_swap)
        if alias and swap:
            self._serving.looked(self._missing())
        self._begin_opening()
        self._serve()
        self._retire()
        self._close_unused()
        if swap:  # else Redis is away
            self._attempt("redis", self._report)

    def _run(self) -> None:
        while not self._stopping.wait(LOOK_S):
            try:
                self.follow()
            except Exception:
                log.exception("following_failed")
            except BaseException:  # readiness tells, too
                log.critical("follower_ended", exc_info=True)
                raise

    def _attempt(self, what: str, call: Callable[[], None]) -> bool:
        """Call what may find the index or Redis away; says so once, and once when it is back."""
        try:
            call()
        except TransientError as error:
            if what not in self._away:
                log.warning("not_followed", extra={"away": what, "error": str(error)})
            self._away.add(what)
            return False
        if what in self._away:
            log.info("followed_again", extra={"back": what})
        self._away.discard(what)
        return True

    # What is known.

    def _look(self) -> None:
        """Find out what alias and swap are; called by a message's thread. Raises `TransientError`."""
        self._look_at_alias()
        self._look_at_swap()
        self._serving.looked(self._missing())

    def _look_at_alias(self) -> None:
        with self._looking:
            self._alias = self._engine.serving() or self._alias
            swap = self._swap.fingerprints if self._swap else ()
            self._gone = frozenset(swap) - frozenset(self._engine.fingerprints() if swap else ())

    def _look_at_swap(self) -> None:
        if self._swaps is not None:
            with self._looking:
                self._swap = self._swaps.read()
                self._swap_is_known = True

    def _missing(self) -> str | None:
        """Why messages must wait: from the second phase on they are written to both collections of a swap."""
        swap = self._swap
        if swap is None or swap.phase == "preparing":
            return None
        has = {pair.fingerprint for pair in self._serving.pairs()} | self._gone
        return next((self._why(named) for named in swap.fingerprints if named not in has), None)

    def _why(self, fingerprint: str) -> str:
        failure = self._failures.get(fingerprint)
        return f"{fingerprint}: {failure.why if failure else 'is being opened'}"

    def _wanted(self) -> list[str]:
        """What must be open, the most urgent first."""
        swap = self._swap.fingerprints if self._swap else ()
        return [self._alias, *(named for named in swap if named not in (self._alias, *self._gone))]

    # What is done about it.

    def _settle_opening(self) -> None:
        if self._opening is None or not self._opening[1].done():
            return
        (fingerprint, opening), self._opening = self._opening, None
        if opening.cancelled():
            return
        if error := opening.exception():
            why = str(error) if isinstance(error, LookalikeError | ConfigurationError) else repr(error)
            self._failures[fingerprint] = _Failure(why, time.monotonic() + OPEN_AGAIN_S)
            log.error("pair_not_opened", extra={"encoder": fingerprint, "error": why}, exc_info=error)
        else:
            self._failures.pop(fingerprint, None)
            self._serving.add(opening.result())

    def _begin_opening(self) -> None:
        swap = self._swap.id if self._swap else None
        if swap != self._failed_swap:  # another attempt by its coordinator is one for us
            self._failures.clear()
            self._failed_swap = swap
        has = {*self._serving.fingerprints(), *(pair.fingerprint for pair in self._closing)}
        for fingerprint in self._wanted():
            failure = self._failures.get(fingerprint)
            may = failure is None or time.monotonic() > failure.again_at
            if self._opening is None and fingerprint not in has and may:
                self._opening = fingerprint, self._work.submit(self._opener.open, fingerprint)

    def _serve(self) -> None:
        for pair in self._serving.pairs()[1:]:
            if pair.fingerprint == self._alias:
                self._serving.serve(pair)
                log.info("pair_serves", extra={"encoder": pair.fingerprint})

    def _retire(self) -> None:
        if not self._swap_is_known:
            return
        wanted = self._wanted()
        for pair in self._serving.pairs()[1:]:
            if pair.fingerprint not in wanted:
                self._serving.retire(pair)

    def _close_unused(self) -> None:
        for pair in self._serving.unused():
            self._closing[pair] = self._work.submit(pair.close)
        for pair, closing in list(self._closing.items()):
            if closing.done():
                del self._closing[pair]
                if error := closing.exception():
                    extra = {"encoder": pair.fingerprint}
                    log.error("pair_not_closed", extra=extra, exc_info=error)

    def _report(self) -> None:
        if self._swaps is None:
            return
        closing = (pair.fingerprint for pair in self._closing)
        report = ProcessReport(
            kind=self._kind,
            pairs=(*self._serving.fingerprints(), *closing),
            serving=self._serving.current.fingerprint,
            swap=self._swap.id if self._swap else None,
            error=next((self._why(named) for named in self._wanted() if named in self._failures), None),
        )
        if report != self._said or time.monotonic() - self._said_at > REPORT_S:
            self._swaps.report(report)
            self._said, self._said_at = report, time.monotonic()
