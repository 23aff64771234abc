"""Claims in Redis: of several messages that could do a thing, the first does it."""

from redis import Redis

from worker.broker import broker_errors

DAY_S = 24 * 3600


def claim(client: Redis, key: str, claimant: str, keep_s: float = DAY_S) -> str:
    """Claim `key` unless somebody has; return who has it. The same claimant may ask again.

    Raises:
        BrokerUnavailable: Redis could not be asked; asking again is safe.
    """
    with broker_errors():
        # In two commands, since SET with both NX and GET is for Redis 7 and newer.
        client.set(key, claimant, nx=True, ex=int(keep_s))
        return str(client.get(key) or claimant)
