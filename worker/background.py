"""Threads beside the tasks. One that ends before it was told to takes the process down."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from threading import Thread
from typing import Protocol

from celery.worker import state

log = logging.getLogger(__name__)
STOP_WITHIN_S = 15


class Background(Protocol):
    """Something that runs until it is told to stop."""

    def run(self) -> None:
        """Run in a thread of its own, until `stop`."""
        ...

    def stop(self) -> None:
        """Ask `run` to return; called by another thread."""
        ...


@contextmanager
def run_in_background(name: str, work: Background) -> Iterator[None]:
    """Run `work` on a thread as long as the context is open."""
    stopping = False

    def run() -> None:
        try:
            work.run()
        except BaseException:  # whatever it is, a worker without this thread is no worker
            log.critical("background_failed", extra={"thread_name": name}, exc_info=True)
            state.should_stop = 1
            return
        if not stopping:
            log.critical("background_ended", extra={"thread_name": name})
            state.should_stop = 1

    thread = Thread(target=run, name=name, daemon=True)
    thread.start()
    try:
        yield
    finally:
        stopping = True
        work.stop()
        thread.join(STOP_WITHIN_S)
        if thread.is_alive():
            log.error("background_still_running", extra={"thread_name": name})
