"""Redis beside Celery: the dead letters, the event stream and the slots of the schedule."""

from collections.abc import Iterator
from contextlib import contextmanager

import redis

from recommender.errors import BrokerUnavailable
from recommender.waiting import Stopped, wait_for, without_password


def open_redis(url: str) -> "redis.Redis":
    """A client that fails within seconds when Redis is away; connects on first use."""
    return redis.Redis.from_url(
        url,
        decode_responses=True,
        encoding_errors="replace",  # a dead letter may hold any bytes
        socket_timeout=10,
        socket_connect_timeout=5,
        socket_keepalive=True,
        health_check_interval=10,
    )


@contextmanager
def broker_errors() -> Iterator[None]:
    """Translate what the client raises.

    Raises:
        BrokerUnavailable: Redis answered with an error, or not at all.
    """
    try:
        yield
    except redis.RedisError as error:
        raise BrokerUnavailable(f"Redis: {error}") from error


def wait_for_redis(client: "redis.Redis", url: str, stopped: Stopped) -> None:
    """Return once Redis answers, its append-only file read. Blocks.

    Raises:
        ShuttingDown: `stopped` said so.
    """

    def attempt() -> None:
        with broker_errors():
            client.ping()

    wait_for("redis", without_password(url), attempt, stopped)


@contextmanager
def reached_redis(url: str, stopped: Stopped) -> Iterator["redis.Redis"]:
    """A client, opened once Redis answers. Blocks.

    Raises:
        ShuttingDown: `stopped` said so while it waited.
    """
    with open_redis(url) as client:
        wait_for_redis(client, url, stopped)
        yield client
