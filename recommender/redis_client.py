"""A client of Redis, with errors of our own."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import redis
from redis.sentinel import Sentinel

from config.redis_address import read_address
from config.settings import RedisSettings
from recommender.errors import BrokerUnavailable


def open_redis(settings: RedisSettings) -> "redis.Redis":
    """A client that fails within seconds when Redis is away; connects on first use.

    Raises:
        ConfigurationError: the URL is missing, or can't be understood.
    """
    address = read_address(settings)
    options: dict[str, Any] = {
        "db": address.database,
        "username": address.username,
        "password": address.password,
        "decode_responses": True,
        "encoding_errors": "replace",  # a dead letter may hold any bytes
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 10,
        **(address.tls or {}),
    }
    # A pool of our own: a client that makes its own repeats commands, also those that count.
    if address.master is not None:
        sentinel = Sentinel(address.hosts, ssl=address.tls is not None, **options)  # type: ignore[no-untyped-call]
        master: redis.Redis = sentinel.master_for(address.master)  # type: ignore[no-untyped-call]
        return master
    connection = redis.Connection if address.tls is None else redis.SSLConnection
    host, port = address.hosts[0]
    return redis.Redis.from_pool(redis.ConnectionPool(connection, host=host, port=port, **options))


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
