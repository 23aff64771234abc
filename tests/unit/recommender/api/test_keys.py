import pytest

from recommender.api.keys import KeyRing, refuse_open_listening
from recommender.errors import StartupError


def test_without_keys_everyone_may_ask() -> None:
    assert KeyRing([]).accepts(None)
    assert KeyRing([], ["owner"]).accepts(None)


@pytest.mark.parametrize("key", ["one", "two", "owner", "zwölf"])
def test_every_key_is_accepted(key: str) -> None:
    assert KeyRing(["one", "two", "zwölf"], ["owner"]).accepts(key)


@pytest.mark.parametrize("key", [None, "", "on", "one ", "ONE"])
def test_no_other_key_is(key: str | None) -> None:
    assert not KeyRing(["one", "two"], ["owner"]).accepts(key)


@pytest.mark.parametrize("host", ["127.0.0.1", "127.8.8.8", "::1", "localhost"])
def test_loopback_needs_no_key(host: str) -> None:
    refuse_open_listening(KeyRing([]), host)


@pytest.mark.parametrize("host", ["0.0.0.0", "::", "192.168.1.5", "shop.example", ""])  # noqa: S104
def test_elsewhere_a_key_is_demanded_and_the_owners_does_not_count(host: str) -> None:
    with pytest.raises(StartupError, match="LOOKALIKE_API__KEYS"):
        refuse_open_listening(KeyRing([], ["owner"]), host)
    refuse_open_listening(KeyRing(["one"]), host)
