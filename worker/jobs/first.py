"""First come, first served: of several messages that could do a thing, one does it, the first to ask."""

from redis import Redis

from worker.broker import broker_errors

DAY_S = 24 * 3600


def first_to_come(client: Redis, key: str, who: str, keep_s: float = DAY_S) -> str:
    """Take `key` unless somebody has; return who has it. The same one may ask again.

    Raises:
        BrokerUnavailable: Redis could not be asked; asking again is safe.
    """
    with broker_errors():
        # In two commands, since SET with both NX and GET is for Redis 7 and newer.
        client.set(key, who, nx=True, ex=int(keep_s))
        return str(client.get(key) or who)
