"""Whether this worker was told to end: celery's signal handlers leave that in a module of theirs."""

import time

from celery.worker import state

_LOOK_EVERY_S = 0.1


def is_stopping() -> bool:
    """Whether SIGTERM or SIGINT came; the exit code that celery leaves may be 0."""
    return any(told is not None and told is not False for told in (state.should_stop, state.should_terminate))


def stops_within(seconds: float) -> bool:
    """Wait so long at most; answers whether the worker is to end. Blocks."""
    until = time.monotonic() + seconds
    while not is_stopping() and (left_s := until - time.monotonic()) > 0:
        time.sleep(min(left_s, _LOOK_EVERY_S))  # a signal does not cut a sleep short
    return is_stopping()
