"""Redis beside Celery: the dead letters, the event stream and the slots of the schedule."""

from collections.abc import Iterator
from contextlib import contextmanager

from redis import Redis

from config.settings import Settings
from recommender.redis_client import broker_errors, open_redis
from recommender.waiting import Stopped, wait_for, without_password

__all__ = ["broker_errors", "open_redis", "reached_redis", "wait_for_redis"]


def wait_for_redis(client: Redis, url: str, stopped: Stopped) -> None:
    """Return once Redis answers, its append-only file read. Blocks.

    Raises:
        ShuttingDown: `stopped` said so.
    """

    def attempt() -> None:
        with broker_errors():
            client.ping()

    wait_for("redis", without_password(url), attempt, stopped)


@contextmanager
def reached_redis(settings: Settings, stopped: Stopped) -> Iterator[Redis]:
    """A client, opened once Redis answers. Blocks.

    Raises:
        ShuttingDown: `stopped` said so while it waited.
    """
    with open_redis(settings.redis) as client:
        wait_for_redis(client, settings.redis_url, stopped)
        yield client
