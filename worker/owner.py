"""Where the process that owns the embedded index can be asked: `DATA_DIR/owner.json`.

Written by the worker once it serves, readable by its user alone, removed when it closes. What a killed
owner left behind is told apart by asking.
"""

import json
import os
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path

import httpx


@dataclass(frozen=True, slots=True)
class Owner:
    """The address of the owner's API, a key that it accepts, and the broker that it consumes from."""

    url: str
    token: str
    redis_url: str
    pid: int

    def answers(self, path: str = "/healthz") -> bool:
        """Whether it is there, within two seconds."""
        try:
            # Without the environment's proxies: none is to see the token.
            url = f"{self.url}{path}"
            return httpx.get(url, headers=self.headers, timeout=2, trust_env=False).is_success
        except httpx.TransportError:
            return False

    @property
    def headers(self) -> dict[str, str]:
        """What a request must carry."""
        return {"X-API-Key": self.token}


def new_token() -> str:
    """A random key for the owner's API."""
    return secrets.token_urlsafe(32)


@contextmanager
def leave_address(data_dir: Path, owner: Owner) -> Iterator[None]:
    """Leave the address for other commands, as long as the context is open."""
    path = _path(data_dir)
    path.parent.mkdir(parents=True, exist_ok=True)
    fresh = path.with_suffix(f".{os.getpid()}")
    descriptor = os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w") as file:
        json.dump(asdict(owner), file)
    fresh.replace(path)
    try:
        yield
    finally:
        if read_address(data_dir) == owner:
            path.unlink()


def read_address(data_dir: Path) -> Owner | None:
    """What was left, whether or not anyone is there."""
    try:
        text = _path(data_dir).read_text()
    except (FileNotFoundError, NotADirectoryError):
        return None
    return Owner(**json.loads(text))


def find_owner(data_dir: Path) -> Owner | None:
    """The owner, if it answers."""
    owner = read_address(data_dir)
    return owner if owner is not None and owner.answers() else None


def _path(data_dir: Path) -> Path:
    return data_dir / "owner.json"
