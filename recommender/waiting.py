"""Start-up waits for what is away, says so, and ends when it is told to."""

import logging
import random
import re
from collections.abc import Callable
from typing import TypeVar

from recommender.errors import ShuttingDown, TransientError

log = logging.getLogger(__name__)
FIRST_PAUSE_S = 0.5
MAX_PAUSE_S = 30.0

T = TypeVar("T")
Stopped = Callable[[float], bool]
"""Waits so many seconds at most, and answers whether the process is to end: `threading.Event.wait`, say."""


def wait_for(what: str, where: str, attempt: Callable[[], T], stopped: Stopped) -> T:
    """Attempt until there is an answer; what is wrong rather than away is raised at once. Blocks.

    Args:
        what: what is waited for, for the log.
        where: its address, for the log; without a password.
        attempt: asks once; a `TransientError` means that it is away.
        stopped: waits out a pause, and ends the waiting.

    Raises:
        ShuttingDown: `stopped` said so.
        LookalikeError: whatever else `attempt` raises.
    """
    pause_s = FIRST_PAUSE_S
    while True:
        try:
            return attempt()
        except TransientError as error:
            # Processes that were cut off together must not come back in step.
            jittered_s = pause_s * random.uniform(0.5, 1.0)  # noqa: S311  # no secret
            log.warning(
                "waiting_for",
                extra={"what": what, "where": where, "error": str(error), "pause_s": round(jittered_s, 1)},
            )
            if stopped(jittered_s):
                raise ShuttingDown(f"told to end while waiting for {what} at {where}") from error
            pause_s = min(2 * pause_s, MAX_PAUSE_S)


def without_password(url: str) -> str:
    """A URL, or several with a semicolon between, as it may be logged: neither user nor query."""
    return re.sub(r"\?[^;]*", "", re.sub(r"//[^;]*@", "//", url))
