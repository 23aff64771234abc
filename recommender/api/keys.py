"""API keys: who may ask, and where one may listen without any."""

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable
from typing import Annotated

from fastapi import Depends
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer
from starlette.types import Scope

from config.settings import KEY_DIGEST
from recommender.errors import StartupError

_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="one of the configured keys")
_bearer = HTTPBearer(auto_error=False, description="the same keys, as a bearer token")


class KeyRing:
    """The accepted keys, as digests. Without any configured, everyone may ask.

    `configured` are keys, or `sha256:` and their digest in hexadecimal. `extra` are accepted besides
    (the token of the embedded index's owner) and demand nothing.
    """

    def __init__(self, configured: Iterable[str], extra: Iterable[str] = ()) -> None:
        configured = tuple(configured)
        self.required = bool(configured)
        self._digests = [*map(_configured_digest, configured), *(_digest(key.encode()) for key in extra)]

    def digest_of(self, key: bytes | None) -> str | None:
        """The digest of an accepted key, in hexadecimal; compared in a time that tells nothing of them."""
        if not key:
            return None
        given = _digest(key)
        return given.hex() if sum(hmac.compare_digest(given, digest) for digest in self._digests) else None


def key_of(scope: Scope) -> bytes | None:
    """The key that a request carries, as it was sent."""
    headers = dict(scope["headers"])
    key: bytes | None = headers.get(b"x-api-key")
    if key is None:
        scheme, _, token = headers.get(b"authorization", b"").partition(b" ")
        key = token.strip() if scheme.lower() == b"bearer" else None
    return key


async def documented_key(
    _key: Annotated[str | None, Depends(_header)],
    _token: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """Says in the OpenAPI description where a key goes; `Admission` is what looks at it."""


def refuse_open_listening(keys: KeyRing, host: str) -> None:
    """Without keys only loopback may be listened on.

    Raises:
        StartupError: other machines could ask, and no key is configured.
    """
    if not keys.required and not _is_loopback(host):
        raise StartupError(
            f"refusing to listen on {host} without API keys: set LOOKALIKE_API__KEYS "
            '(a JSON list, like ["..."]), or LOOKALIKE_API__HOST=127.0.0.1'
        )


def _is_loopback(host: str) -> bool:
    if host == "localhost":
        return True
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:  # another name: where it leads is not known here
        return False


def _configured_digest(entry: str) -> bytes:
    if entry.startswith(KEY_DIGEST):
        return bytes.fromhex(entry.removeprefix(KEY_DIGEST))
    return _digest(entry.encode())


def _digest(key: bytes) -> bytes:
    return hashlib.sha256(key).digest()
