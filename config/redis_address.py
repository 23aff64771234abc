"""Where Redis is, as `redis.url` says it: read once, for kombu and for our own clients alike.

`redis://`, `rediss://` (TLS, with ssl_ca_certs, ssl_cert_reqs and the like in the query), or
`sentinel://HOST:PORT;sentinel://HOST:PORT/DB`. Users and passwords are those of Redis, not of the sentinels.
"""

from dataclasses import dataclass, field
from typing import Any
from urllib.parse import SplitResult, parse_qsl, quote, unquote, urlsplit

from config.settings import PREFIX, ConfigurationError, RedisSettings

_URL = f"{PREFIX}REDIS__URL"
_TLS_OPTIONS = ("ssl_ca_certs", "ssl_certfile", "ssl_keyfile", "ssl_cert_reqs", "ssl_check_hostname")
_CERT_REQS = ("required", "optional", "none")


@dataclass(frozen=True, slots=True)
class Address:
    """One Redis server; or sentinels, and the name of the master to ask them for."""

    hosts: tuple[tuple[str, int], ...]
    database: int = 0
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    tls: dict[str, Any] | None = None
    """redis-py's options of a TLS connection; None without TLS."""
    master: str | None = None

    @property
    def url(self) -> str:
        """A redis:// or sentinel:// URL of the first host, without the options of TLS."""
        user = quote(self.username or "", safe="")
        secret = "" if self.password is None else f":{quote(self.password, safe='')}"
        host, port = self.hosts[0]
        host = f"[{host}]" if ":" in host else host
        at = "@" if user or secret else ""
        scheme = "redis" if self.master is None else "sentinel"
        return f"{scheme}://{user}{secret}{at}{host}:{port}/{self.database}"


def read_address(settings: RedisSettings) -> Address:
    """Read the URL.

    Raises:
        ConfigurationError: it is missing, or can't be understood.
    """
    if settings.url is None:
        raise ConfigurationError(f"{_URL} is not set: name a Redis, or use `lookalike up`")
    parts = [urlsplit(url.strip()) for url in settings.url.get_secret_value().split(";")]
    schemes = {part.scheme for part in parts}
    is_sentinel = schemes == {"sentinel"}
    if not is_sentinel and (len(parts) > 1 or not schemes <= {"redis", "rediss"}):
        raise ConfigurationError(
            f"{_URL} must be redis://, rediss://, or sentinel://HOST:PORT;sentinel://..."
        )
    if is_sentinel and settings.sentinel_master is None:
        raise ConfigurationError(
            f"{_URL} names sentinels: {PREFIX}REDIS__SENTINEL_MASTER must name the master to ask them for"
        )
    return Address(
        hosts=tuple(_host(part, 26379 if is_sentinel else 6379) for part in parts),
        database=_database(_only({part.path.strip("/") for part in parts}, "database")),
        username=_only({unquote(part.username or "") for part in parts}, "user") or None,
        password=_only({unquote(part.password or "") for part in parts}, "password") or None,
        tls=_tls(parts),
        master=settings.sentinel_master if is_sentinel else None,
    )


def _host(part: SplitResult, usual_port: int) -> tuple[str, int]:
    try:
        port = part.port
    except ValueError as error:
        raise ConfigurationError(f"{_URL}: {error}") from error
    return unquote(part.hostname or "localhost"), port or usual_port


def _only(values: set[str], what: str) -> str:
    """What the URLs say that say anything."""
    said = values - {""}
    if len(said) > 1:
        raise ConfigurationError(f"{_URL}: every URL must have the same {what}")
    return said.pop() if said else ""


def _database(path: str) -> int:
    if path and not path.isdecimal():
        raise ConfigurationError(f"{_URL}: the database after the last / is a number")
    return int(path or 0)


def _tls(parts: list[SplitResult]) -> dict[str, Any] | None:
    query = dict(parse_qsl(_only({part.query for part in parts}, "query")))
    if unknown := query.keys() - set(_TLS_OPTIONS):
        raise ConfigurationError(f"{_URL}: unknown options {', '.join(sorted(unknown))}")
    if not query and parts[0].scheme != "rediss":
        return None
    if parts[0].scheme == "redis":
        raise ConfigurationError(f"{_URL}: options of TLS need rediss://")
    required = query.get("ssl_cert_reqs", "required").lower().removeprefix("cert_")
    if required not in _CERT_REQS:
        raise ConfigurationError(f"{_URL}: ssl_cert_reqs is one of {', '.join(_CERT_REQS)}")
    named = query.get("ssl_check_hostname", "true").lower()
    return query | {"ssl_cert_reqs": required, "ssl_check_hostname": named not in {"false", "no", "0"}}
