"""The end of a row: everything is worked off, compared, and put into a line of the table."""

import time

import redis

from tests.chaos.ledger import Ledger
from tests.chaos.result import Result
from tests.chaos.scene import QUEUES, Scene
from tests.chaos.verdict import judge

NO_PROGRESS_S = 60.0
SHOWN = 12
"""Violations that are listed of one row; the others are counted."""


def drain(scene: Scene) -> str | None:
    """Wait until nothing is queued or in hand; answers what is left where that makes no progress."""
    seen, changed_at, quiet = (-1, -1), time.monotonic(), 0
    while quiet < 5:
        try:
            now = (scene.waiting(), scene.record.ended())
        except redis.RedisError:  # it is starting again
            now = seen
        quiet = quiet + 1 if now[0] == 0 else 0
        if now != seen:
            seen, changed_at = now, time.monotonic()
        if time.monotonic() - changed_at > NO_PROGRESS_S and now[0]:
            return f"no progress for {NO_PROGRESS_S:.0f} s, and not worked off: {_depths(scene)}"
        time.sleep(0.1)
    return None


def conclude(scene: Scene, ledger: Ledger, result: Result, *more: str) -> Result:
    """Drain, compare, and complete the line; `more` are violations that the row saw itself."""
    undone = drain(scene)
    verdict = judge(scene, ledger)
    problems = [*more, *([undone] if undone else []), *verdict.problems]
    shown = problems[:SHOWN]
    if len(problems) > SHOWN:
        shown.append(f"and {len(problems) - SHOWN} more")
    return Result(
        **vars(result)
        | {
            "published": ledger.messages,
            "lost": verdict.lost,
            "stale": verdict.stale,
            "resurrected": verdict.resurrected,
            "violations": tuple(shown),
        }
    )


def _depths(scene: Scene) -> dict[str, int]:
    with scene.broker_client() as client:
        depths = {queue: int(client.llen(queue)) for queue in QUEUES}
        return depths | {"unacked": int(client.hlen("unacked"))}
