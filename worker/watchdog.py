"""Ends the process where a message, or the shutdown, makes no progress: a thread can't be killed.

What is in hand is not acknowledged, so that it comes again: in quarantine, since its body had begun.
"""

import faulthandler
import logging
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from threading import Event, Lock, Thread
from types import TracebackType
from typing import Self

log = logging.getLogger(__name__)
LOOK_EVERY_S = 1.0
_STDERR = 2
"""The descriptor: `sys.stderr` may be celery's logger."""
EXIT_CODE = 70  # EX_SOFTWARE of sysexits.h


class Watch:
    """One message in hand."""

    def __init__(self, what: str) -> None:
        self.what = what
        self.progress_at = time.monotonic()

    def progress(self) -> None:
        """Say that it goes on."""
        self.progress_at = time.monotonic()


class Watchdog:
    """Looks every second, on a thread of its own, as long as its context is open.

    Args:
        deadline_s: longest that a message may go without progress.
        grace_s: longest that the process may take to end once `shut_down` was called.
        end: ends the process, without a goodbye.
    """

    def __init__(self, deadline_s: float, grace_s: float, end: Callable[[int], object] = os._exit) -> None:
        self._deadline_s = deadline_s
        self._grace_s = grace_s
        self._end = end
        self._lock = Lock()
        self._watches: set[Watch] = set()
        self._shutdown_at: float | None = None
        self._closed = Event()
        self._thread = Thread(target=self._run, name="watchdog", daemon=True)

    @contextmanager
    def watch(self, what: str) -> Iterator[Watch]:
        """Watch one message as long as the context is open."""
        watch = Watch(what)
        with self._lock:
            self._watches.add(watch)
        try:
            yield watch
        finally:
            with self._lock:
                self._watches.discard(watch)

    @property
    def is_shutting_down(self) -> bool:
        """Whether what has not begun should be left to others."""
        return self._shutdown_at is not None

    def shut_down(self) -> None:
        """The process is to end; its grace period begins. Called by a signal handler."""
        if self._shutdown_at is None:
            self._shutdown_at = time.monotonic()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._closed.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._closed.wait(LOOK_EVERY_S):
            # Where one thread keeps the interpreter's lock nobody can look: then a timer of the
            # interpreter's own, which needs no lock, ends the process.
            faulthandler.dump_traceback_later(2 * self._deadline_s, exit=True, file=_STDERR)
            self._look(time.monotonic())
        faulthandler.cancel_dump_traceback_later()

    def _look(self, now: float) -> None:
        with self._lock:
            hung = sorted(w.what for w in self._watches if now - w.progress_at > self._deadline_s)
        if hung:
            self.end(f"no progress for {self._deadline_s:g} s: {', '.join(hung)}")
        elif self._shutdown_at is not None and now - self._shutdown_at > self._grace_s:
            self.end(f"not ended {self._grace_s:g} s after it was told to")

    def end(self, why: str) -> None:
        """End the process now."""
        log.critical("process_ended", extra={"why": why})
        faulthandler.dump_traceback(file=_STDERR)
        self._end(EXIT_CODE)
