"""API keys: who may ask, and where one may listen without any."""

import hashlib
import hmac
import ipaddress
from collections.abc import Iterable
from typing import Annotated

from fastapi import Depends, HTTPException, Request
from fastapi.security import APIKeyHeader, HTTPAuthorizationCredentials, HTTPBearer

from recommender.errors import StartupError

_header = APIKeyHeader(name="X-API-Key", auto_error=False, description="one of the configured keys")
_bearer = HTTPBearer(auto_error=False, description="the same keys, as a bearer token")


class KeyRing:
    """The accepted keys, as digests. Without any configured, everyone may ask.

    `extra` are accepted besides (the token of the embedded index's owner) and demand nothing.
    """

    def __init__(self, configured: Iterable[str], extra: Iterable[str] = ()) -> None:
        configured = tuple(configured)
        self.required = bool(configured)
        self._digests = [_digest(key) for key in (*configured, *extra)]

    def accepts(self, key: str | None) -> bool:
        """Compare with every key, in a time that tells nothing of them."""
        if not self.required:
            return True
        given = _digest(key or "")
        return bool(key) and sum(hmac.compare_digest(given, digest) for digest in self._digests) > 0


def require_key(
    request: Request,
    key: Annotated[str | None, Depends(_header)],
    bearer: Annotated[HTTPAuthorizationCredentials | None, Depends(_bearer)],
) -> None:
    """Refuse a request without a valid key, where keys are required."""
    keys: KeyRing = request.app.state.keys
    if not keys.accepts(key or (bearer.credentials if bearer else None)):
        raise HTTPException(
            401, "give a valid key in the X-API-Key header", headers={"WWW-Authenticate": "Bearer"}
        )


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


def _digest(key: str) -> bytes:
    return hashlib.sha256(key.encode()).digest()
