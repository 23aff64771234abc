"""The doctor on Redis: may it hold messages that must not be lost?"""

import time
from collections.abc import Iterator, Mapping
from typing import Any

from redis import Redis
from redis.exceptions import ResponseError

from worker.doctor.finding import Finding, fix, ok, warn

OLDEST = (6, 2)
"""The first with XAUTOCLAIM's relatives and ZADD, XPENDING and LMOVE as they are used here."""
FULL, NEARLY_FULL = 0.9, 0.75
APART_S, FAR_APART_S = 2, 20
"""Leases are told by the clocks of all workers; a third of the visibility timeout must not vanish in them."""
_MIB = 2**20


def look_at_redis(client: Redis) -> Iterator[Finding]:
    """Version, persistence, eviction, memory, replicas and clock. Raises what the client raises."""
    info: Any = client.info()
    yield _version(info)
    yield _persistence(info, _configured(client, "appendfsync"))
    yield _eviction(info)
    yield _memory(info)
    if info["connected_slaves"]:
        yield _replicas(info)
    yield _clock(client)


def _configured(client: Redis, name: str) -> str:
    """A configured value; managed services often hide them."""
    try:
        found: Any = client.config_get(name)
    except ResponseError:
        return "unknown"
    return str(found.get(name, "unknown"))


def _version(info: Mapping[str, Any]) -> Finding:
    version = str(info["redis_version"])
    if tuple(int(part) for part in version.split(".")[:2]) < OLDEST:
        return fix("redis", version, "upgrade: 6.2 is the oldest that will do")
    if info["role"] != "master":
        return fix("redis", f"{version}, a replica", "name the primary in LOOKALIKE_REDIS__URL, or sentinels")
    return ok("redis", version)


def _persistence(info: Mapping[str, Any], fsync: str) -> Finding:
    subject, config = "redis persistence", "redis-cli config set"
    if not info["aof_enabled"]:
        remedy = f"`{config} appendonly yes`, and the same in redis.conf"
        return fix(subject, "no append-only file: a restart loses every message", remedy)
    if info["aof_last_write_status"] != "ok":
        return fix(subject, "the append-only file can't be written", "make room on Redis's disk, see its log")
    if fsync == "no":
        remedy = f"`{config} appendfsync everysec`, or always"
        return fix(subject, "appendfsync no: a crash of the host loses up to half a minute", remedy)
    if info["aof_last_bgrewrite_status"] != "ok":
        return warn(subject, "the append-only file could not be rewritten, and grows", "see Redis's log")
    said = {
        "everysec": "a crash of the host may cost the last second; `always` costs none, but speed",
        "always": "a crash of the host costs nothing that was acknowledged",
    }
    return ok(subject, f"append-only file, appendfsync {fsync}: {said.get(fsync, 'see redis.conf')}")


def _eviction(info: Mapping[str, Any]) -> Finding:
    policy = info["maxmemory_policy"]
    if policy != "noeviction":
        remedy = "`redis-cli config set maxmemory-policy noeviction`, and the same in redis.conf"
        return fix("redis eviction", f"{policy}: messages are dropped when memory is short", remedy)
    return ok("redis eviction", policy)


def _memory(info: Mapping[str, Any]) -> Finding:
    subject, used = "redis memory", info["used_memory"]
    limit, what = info["maxmemory"], "maxmemory"
    if not limit:
        limit, what = info.get("total_system_memory", 0), "the machine, no maxmemory"
    if not limit:
        return ok(subject, f"{used // _MIB} MiB used, no limit known")
    found = f"{used // _MIB} of {limit // _MIB} MiB used ({what})"
    remedy = "raise maxmemory, or drain queues and dead letters: what is full refuses messages"
    if used > FULL * limit:
        return fix(subject, found, remedy)
    return warn(subject, found, remedy) if used > NEARLY_FULL * limit else ok(subject, found)


def _replicas(info: Mapping[str, Any]) -> Finding:
    replicas = [info[f"slave{n}"] for n in range(info["connected_slaves"]) if f"slave{n}" in info]
    behind = [f"{replica['ip']}:{replica['port']}" for replica in replicas if replica["state"] != "online"]
    if behind:
        remedy = "see the replica's log; a failover to it would lose messages"
        return warn("redis replicas", f"not in step: {', '.join(behind)}", remedy)
    return ok("redis replicas", f"{len(replicas)} online; replication is asynchronous")


def _clock(client: Redis) -> Finding:
    before = time.time()
    seconds, microseconds = client.time()
    apart_s = abs(seconds + microseconds / 1e6 - (before + time.time()) / 2)
    found, remedy = f"{apart_s:.1f} s apart from this machine's", "have both machines' clocks set by NTP"
    if apart_s > FAR_APART_S:
        return fix("redis clock", found, remedy)
    return warn("redis clock", found, remedy) if apart_s > APART_S else ok("redis clock", found)
