"""The doctor on what waits: queues, messages in hand, the event stream, dead letters."""

import time
from collections.abc import Iterator
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from config.settings import Settings
from worker.celery import QUARANTINE, QUEUES, VISIBILITY_TIMEOUT_S
from worker.doctor.finding import Finding, ok, warn
from worker.jobs.dead_letters import stream_name
from worker.stream import CLAIM_IDLE_MS, GROUP

MANY = 10_000
SWEEP_S = 60
"""Given for what a dead worker held to be taken over, beyond the visibility timeout."""
STREAM_IDLE_MS = CLAIM_IDLE_MS + 1000 * SWEEP_S


def look_at_messages(client: Redis, settings: Settings) -> Iterator[Finding]:
    """What waits and what has waited too long. Raises what the client raises."""
    yield _queues(client, settings.redis.key_prefix or "")
    yield _in_hand(client, settings.redis.key_prefix or "")
    yield _stream(client, f"{settings.catalog}:events")
    yield _dead_letters(client, settings)


def _queues(client: Redis, prefix: str) -> Finding:
    depths: dict[str, Any] = {queue: client.llen(prefix + queue) for queue in QUEUES}
    found = ", ".join(f"{queue} {depth}" for queue, depth in depths.items())
    if depths[QUARANTINE]:
        remedy = (
            "these messages' workers ended: their logs say how; what keeps ending them becomes a dead letter"
        )
        return warn("queues", found, remedy)
    if max(depths.values()) > MANY:
        return warn("queues", found, "start more workers, if this does not shrink")
    return ok("queues", found)


def _in_hand(client: Redis, prefix: str) -> Finding:
    subject = "messages in hand"
    oldest: Any = client.zrange(f"{prefix}unacked_index", 0, 0, withscores=True)
    if not oldest:
        return ok(subject, "none")
    silent_s = max(0.0, time.time() - oldest[0][1])
    found = f"{client.hlen(f'{prefix}unacked')}, the oldest lease renewed {silent_s:.0f} s ago"
    if silent_s > VISIBILITY_TIMEOUT_S + SWEEP_S:
        return warn(subject, found, "its worker is gone and no other takes over: start a worker")
    return ok(subject, found)


def _stream(client: Redis, name: str) -> Finding:
    subject = "event stream"
    try:
        groups: Any = client.xinfo_groups(name)
    except ResponseError:  # there is no such key
        return ok(subject, f"{name} is empty")
    if not any(group["name"] == GROUP for group in groups):
        return warn(subject, f"{name} has no consumer yet", "start `python -m worker.stream`")
    pending = client.xpending_range(name, GROUP, "-", "+", 1, idle=STREAM_IDLE_MS)
    found = f"{name} holds {client.xlen(name)} entries"
    if pending:
        remedy = "no consumer takes over what another left: start `python -m worker.stream`"
        return warn(subject, f"{found}, some of them in nobody's hands", remedy)
    return ok(subject, found)


def _dead_letters(client: Redis, settings: Settings) -> Finding:
    count, alarm = client.xlen(stream_name(settings.catalog)), settings.worker.dead_letters_alarm
    remedy = "`lookalike dead-letters list`, then replay or drop"
    if not count:
        return ok("dead letters", "none")
    if count >= alarm:
        return Finding("dead letters", "fix", f"{count}; the alarm is at {alarm}", remedy)
    return warn("dead letters", f"{count}; the alarm is at {alarm}", remedy)
