import hashlib

import pytest

from recommender.api.keys import KeyRing, key_of, refuse_open_listening
from recommender.errors import StartupError


def sha256(key: str) -> str:
    return hashlib.sha256(key.encode()).hexdigest()


HASHED = f"sha256:{sha256('hidden')}"


def test_only_configured_keys_are_demanded() -> None:
    assert not KeyRing([]).required
    assert not KeyRing([], ["owner"]).required
    assert KeyRing([HASHED]).required


@pytest.mark.parametrize("key", ["one", "two", "owner", "zwölf", "hidden"])
def test_every_key_is_known_by_its_digest(key: str) -> None:
    assert KeyRing(["one", "two", "zwölf", HASHED], ["owner"]).digest_of(key.encode()) == sha256(key)


@pytest.mark.parametrize(
    "key", [None, b"", b"on", b"one ", b"ONE", HASHED.encode(), sha256("hidden").encode()]
)
def test_no_other_key_is(key: bytes | None) -> None:
    assert KeyRing(["one", "two", HASHED], ["owner"]).digest_of(key) is None


@pytest.mark.parametrize(
    ("headers", "key"),
    [
        ({}, None),
        ({"x-api-key": "one"}, b"one"),
        ({"x-api-key": "one", "authorization": "Bearer two"}, b"one"),
        ({"authorization": "Bearer two"}, b"two"),
        ({"authorization": "bEARER  two"}, b"two"),
        ({"authorization": "Basic two"}, None),
        ({"authorization": "two"}, None),
    ],
)
def test_a_key_is_found_in_either_header(headers: dict[str, str], key: bytes | None) -> None:
    sent = [(name.encode(), value.encode()) for name, value in headers.items()]
    assert key_of({"headers": sent}) == key


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    refuse_open_listening(KeyRing([]), host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "shop.example", ""])  # noqa: S104
def test_elsewhere_a_key_is_demanded_and_the_owners_does_not_count(host: str) -> None:
    with pytest.raises(StartupError, match="LOOKALIKE_API__KEYS"):
        refuse_open_listening(KeyRing([], ["owner"]), host)
    refuse_open_listening(KeyRing(["one"]), host)
