"""How often one caller may ask, counted in Redis, so that all processes of the API share the count."""

import asyncio
import logging
import math
from dataclasses import dataclass
from typing import Any

from redis.asyncio import Connection, ConnectionPool, Redis, Sentinel, SSLConnection
from redis.exceptions import RedisError

from config.redis_address import read_address
from config.settings import RedisSettings, Settings
from recommender import metrics

log = logging.getLogger(__name__)
_ANSWER_S = 0.25  # a question isn't to wait longer for leave to be asked
_PAUSE_S = 1.0  # between two attempts at a Redis that is away

# The generic cell rate algorithm (ITU-T I.371): kept is the time at which the caller will have rested.
# KEYS: the caller's. ARGV: microseconds that one request costs, and those that a rested caller has.
# Answers {whether to admit, microseconds to wait otherwise, those that are left, those until rested}.
# The time kept is never further ahead than a full burst: nobody waits for a clock that was set back.
_SCRIPT = """
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local cost, burst = tonumber(ARGV[1]), tonumber(ARGV[2])
local rested = tonumber(redis.call('GET', KEYS[1]) or now)
rested = math.min(math.max(rested, now), now + burst)
local left = burst - (rested - now)
if left < cost then
  return {0, math.ceil(cost - left), left, rested - now}
end
rested = rested + cost
redis.call('SET', KEYS[1], string.format('%.0f', rested), 'PX', math.ceil((rested - now) / 1000))
return {1, 0, left - cost, rested - now}
"""


@dataclass(frozen=True, slots=True)
class Verdict:
    """Whether a request may go on, and what to tell the caller about it."""

    admitted: bool
    wait_s: int
    """Seconds until the next one may; 0 where this one may."""
    headers: dict[str, str]
    """As draft-ietf-httpapi-ratelimit-headers-10 has them."""


class RateLimiter:
    """Asks Redis about every request. While Redis is away every request may go on; that is counted.

    Belongs to one event loop.
    """

    def __init__(self, settings: Settings) -> None:
        """Connects on first use.

        Raises:
            ConfigurationError: no Redis is named, or its URL can't be understood.
        """
        rate_per_s, burst = settings.api.rate_per_s, settings.api.rate_burst
        assert rate_per_s is not None, "without a rate there is no limiter"
        self._redis, *self._sentinels = _open(settings.redis, connections=settings.api.max_in_hand)
        self._prefix = f"{settings.catalog}:rate:"
        self._cost_us = max(1, round(1e6 / rate_per_s))
        self._burst_us = burst * self._cost_us
        self._policy = f'"default";q={burst};w={max(1, round(burst / rate_per_s))}'
        self._away = False
        self._ask_again = 0.0

    async def ask(self, caller: str) -> Verdict | None:
        """Count one request of the caller, who must not be named by a key; None while Redis is away."""
        now = asyncio.get_running_loop().time()
        if self._away:
            if now < self._ask_again:
                metrics.RATE_LIMIT_SKIPPED.inc()
                return None
            self._ask_again = now + _PAUSE_S  # of those in hand, this request alone finds out
        try:
            async with asyncio.timeout(_ANSWER_S):
                # Always whole: SCRIPT LOAD is a right that a Redis user of ours needs nowhere else.
                answer = await self._redis.eval(
                    _SCRIPT, 1, self._prefix + caller, str(self._cost_us), str(self._burst_us)
                )
        except (RedisError, OSError) as error:  # TimeoutError is an OSError
            self._gone(error, now)
            return None
        if self._away:
            self._away = False
            log.info("rate_limiter_back")
        return self._verdict(*answer)

    async def close(self) -> None:
        """Close the connections."""
        for client in (self._redis, *self._sentinels):
            await client.aclose()

    def _gone(self, error: Exception, now: float) -> None:
        metrics.RATE_LIMIT_SKIPPED.inc()
        if not self._away:
            log.warning("rate_limiter_away", extra={"error": f"{type(error).__name__}: {error}"})
        self._away, self._ask_again = True, now + _PAUSE_S

    def _verdict(self, admitted: int, wait_us: int, left_us: int, rested_us: int) -> Verdict:
        remaining, rested_s = int(left_us / self._cost_us), math.ceil(rested_us / 1e6)
        headers = {"RateLimit-Policy": self._policy, "RateLimit": f'"default";r={remaining};t={rested_s}'}
        return Verdict(bool(admitted), math.ceil(wait_us / 1e6), headers)


def _open(settings: RedisSettings, *, connections: int) -> list[Redis]:
    """The client to ask, then those of the sentinels that it asks."""
    address = read_address(settings)
    options: dict[str, Any] = {
        "db": address.database,
        "username": address.username,
        "password": address.password,
        "socket_timeout": _ANSWER_S,
        "socket_connect_timeout": _ANSWER_S,
        "max_connections": connections,
        **(address.tls or {}),
    }
    # A pool of our own: a client that makes its own repeats commands, and this one counts.
    if address.master is not None:
        sentinel = Sentinel(address.hosts, ssl=address.tls is not None, **options)  # type: ignore[no-untyped-call]
        master: Redis = sentinel.master_for(address.master)
        return [master, *sentinel.sentinels]
    connection = Connection if address.tls is None else SSLConnection
    host, port = address.hosts[0]
    return [Redis.from_pool(ConnectionPool(connection, host=host, port=port, **options))]
