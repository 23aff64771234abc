"""Circuit breakers: while a dependency is away no message is claimed, so that an outage costs nothing.

After M. Nygard, Release It!, "Circuit Breaker": closed, it lets everything through; after some failures in a
row it opens for a pause; then it is half open until the next outcome closes it, or opens it for longer.
"""

import logging
import random
import re
import time
from collections.abc import Callable
from threading import Lock
from types import TracebackType
from typing import Self

from recommender import metrics
from recommender.errors import ImageNotAllowed, ImageStoreUnavailable, IndexUnavailable, TransientError

log = logging.getLogger(__name__)
FAILURES_IN_A_ROW = 8
FIRST_PAUSE_S = 1.0
MAX_PAUSE_S = 30.0


class CircuitBreaker:
    """The breaker of one dependency. Thread-safe; nothing blocks."""

    def __init__(self, dependency: str, clock: Callable[[], float] = time.monotonic) -> None:
        self._dependency = dependency
        self._clock = clock
        self._lock = Lock()
        self._failures = 0
        self._pause_s = 0.0
        self._opened_at = 0.0
        self._open_until: float | None = None
        """When the pause is over; None while the breaker is closed."""

    @property
    def lets_through(self) -> bool:
        """Whether it is closed or half open."""
        with self._lock:
            return self._open_until is None or self._clock() >= self._open_until

    def succeeded(self) -> None:
        """The dependency answered."""
        with self._lock:
            self._failures = 0
            if self._open_until is None or self._clock() < self._open_until:
                return  # a straggler from before the pause proves nothing about now
            self._open_until, self._pause_s = None, 0.0
            away_s = self._clock() - self._opened_at
        metrics.BREAKER_OPEN.labels(self._dependency).set(0)
        log.info("breaker_closed", extra={"dependency": self._dependency, "away_s": round(away_s, 1)})

    def failed(self, error: TransientError) -> None:
        """The dependency did not answer, or with an error of its own."""
        with self._lock:
            self._failures += 1
            now = self._clock()
            if self._open_until is None:
                if self._failures < FAILURES_IN_A_ROW:
                    return
                self._opened_at = now
            elif now < self._open_until:
                return  # begun before it opened
            self._pause_s = min(max(FIRST_PAUSE_S, 2 * self._pause_s), MAX_PAUSE_S)
            pause_s = self._pause_s * random.uniform(0.5, 1.0)  # noqa: S311  # workers must not come back in step
            self._open_until = now + pause_s
        metrics.BREAKER_OPEN.labels(self._dependency).set(1)
        extra = {"dependency": self._dependency, "pause_s": round(pause_s, 1), "error": str(error)}
        log.warning("breaker_opened", extra=extra)


class Breakers:
    """The breakers of one process; in use as long as its context is open.

    Index and object store serve every message, so that nothing is claimed while one of them is away. Each
    https host has a breaker of its own, which spares its images the wait for an answer.
    """

    def __init__(self) -> None:
        self.images = CircuitBreaker("images")
        self.index = CircuitBreaker("index")
        self._hosts: dict[str, CircuitBreaker] = {}
        self._lock = Lock()

    def lets_through(self, uri: str) -> bool:
        """Whether the place that an image comes from is to be asked."""
        breaker = self._of(uri)
        return breaker is None or breaker.lets_through

    def hear(self, uri: str, outcome: object) -> None:
        """Note what became of an image, if its place had a part in it."""
        if isinstance(outcome, ImageStoreUnavailable):
            if uri.startswith("https://"):  # only a host that is allowed was asked, and there are few
                with self._lock:
                    self._hosts.setdefault(_host(uri), CircuitBreaker(_host(uri)))
            if breaker := self._of(uri):
                breaker.failed(outcome)
        elif not isinstance(outcome, TransientError | ImageNotAllowed) and (breaker := self._of(uri)):
            breaker.succeeded()

    def _of(self, uri: str) -> CircuitBreaker | None:
        if uri.startswith("s3://"):
            return self.images
        with self._lock:
            return self._hosts.get(_host(uri))

    @property
    def let_through(self) -> bool:
        """Whether messages may be claimed."""
        return self.images.lets_through and self.index.lets_through

    def failed(self, error: TransientError) -> None:
        """Count a failure of what every message needs, if that has a breaker."""
        if isinstance(error, ImageStoreUnavailable):
            self.images.failed(error)
        elif isinstance(error, IndexUnavailable):
            self.index.failed(error)

    def __enter__(self) -> Self:
        _in_use.append(self)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        _in_use.remove(self)


def _host(uri: str) -> str:
    """The host of a URI that nobody has checked yet."""
    return re.split("[/?#]", uri.removeprefix("https://"), maxsplit=1)[0].lower()


_in_use: list[Breakers] = []


def may_consume() -> bool:
    """Whether this process may claim messages; asked by the transport before every claim."""
    return all(breakers.let_through for breakers in _in_use)
