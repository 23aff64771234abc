"""How often one key may ask, counted in a real Redis."""

import hashlib
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import httpx
import pytest
import redis

from config.settings import ConfigurationError, RedisSettings
from recommender import metrics
from recommender.api.app import create_app
from tests.conftest import RedisServer
from tests.shop import Shop, served

PATH = "/v1/categories"
SLOW = 0.01  # requests a second: none is earned while a test runs


def limited(shop: Shop, url: str, *, keys: tuple[str, ...] = ("first", "second"), **api: Any) -> Shop:
    own = type(shop.settings.api).model_validate({"keys": keys, **api})
    redis_settings = RedisSettings.model_validate({"url": url})
    return replace(shop, settings=shop.settings.model_copy(update={"api": own, "redis": redis_settings}))


def ask(api: httpx.Client, key: str = "first") -> httpx.Response:
    return api.get(PATH, headers={"X-API-Key": key})


@pytest.fixture
def kept(redis_server: RedisServer) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        yield client


def test_a_key_has_its_burst_and_no_more(catalog: Shop, redis_server: RedisServer) -> None:
    with served(limited(catalog, redis_server.url, rate_per_s=SLOW, rate_burst=3)) as api:
        answers = [ask(api) for _ in range(3)]
        assert [answer.status_code for answer in answers] == [200] * 3
        assert answers[0].headers["ratelimit-policy"] == '"default";q=3;w=300'
        assert [answer.headers["ratelimit"] for answer in answers] == [
            '"default";r=2;t=100',
            '"default";r=1;t=200',
            '"default";r=0;t=300',
        ]
        refused = ask(api)
        assert (refused.status_code, refused.json()["type"]) == (429, "urn:lookalike:problem:rate-limited")
        assert refused.headers["content-type"] == "application/problem+json"
        assert 90 < int(refused.headers["retry-after"]) <= 100
        assert refused.headers["ratelimit"].startswith('"default";r=0;')
        assert ask(api, "second").status_code == 200
        assert ask(api, "wrong").status_code == 401
        assert api.get("/healthz").status_code == 200
        assert "ratelimit" not in api.get("/").headers


def test_what_was_waited_for_is_there(catalog: Shop, redis_server: RedisServer) -> None:
    with served(limited(catalog, redis_server.url, rate_per_s=1, rate_burst=1)) as api:
        assert ask(api).status_code == 200
        refused = ask(api)
        assert refused.status_code == 429
        time.sleep(int(refused.headers["retry-after"]))
        assert ask(api).status_code == 200


def test_processes_share_the_count_however_much_they_ask_at_once(
    catalog: Shop, redis_server: RedisServer
) -> None:
    shop = limited(catalog, redis_server.url, rate_per_s=SLOW, rate_burst=10)
    with served(shop) as one, served(shop) as other, ThreadPoolExecutor(16) as pool:
        answers = list(pool.map(lambda n: ask((one, other)[n % 2]).status_code, range(60)))
    assert sorted(answers) == [200] * 10 + [429] * 50


def test_redis_is_told_a_digest_and_forgets_it(
    catalog: Shop, redis_server: RedisServer, kept: "redis.Redis"
) -> None:
    with served(limited(catalog, redis_server.url, rate_per_s=SLOW, rate_burst=3)) as api:
        ask(api)
        name = f"lookalike:rate:{hashlib.sha256(b'first').hexdigest()}"
        assert kept.keys("*") == [name]
        assert 90_000 < kept.pttl(name) <= 100_000


def test_without_keys_the_address_counts(
    catalog: Shop, redis_server: RedisServer, kept: "redis.Redis"
) -> None:
    with served(limited(catalog, redis_server.url, keys=(), rate_per_s=SLOW, rate_burst=1)) as api:
        assert [ask(api, "unheeded").status_code for _ in range(2)] == [200, 429]
        assert kept.keys("*") == ["lookalike:rate:127.0.0.1"]


def test_a_clock_that_was_set_back_locks_nobody_out(
    catalog: Shop, redis_server: RedisServer, kept: "redis.Redis"
) -> None:
    with served(limited(catalog, redis_server.url, rate_per_s=1, rate_burst=1)) as api:
        ask(api)
        (name,) = kept.keys("*")
        kept.set(name, str(int((time.time() + 86400) * 1e6)))
        assert ask(api).headers["retry-after"] == "1"


def test_without_redis_questions_are_answered_and_that_is_counted_and_logged(
    catalog: Shop, redis_server: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    with served(limited(catalog, redis_server.url, rate_per_s=SLOW, rate_burst=1)) as api:
        assert [ask(api).status_code for _ in range(2)] == [200, 429]
        redis_server.kill()
        before = metrics.RATE_LIMIT_SKIPPED._value.get()
        answers = [ask(api) for _ in range(20)]
        assert {answer.status_code for answer in answers} == {200}
        assert not any("ratelimit" in answer.headers for answer in answers)
        assert metrics.RATE_LIMIT_SKIPPED._value.get() - before == 20
        assert [record.message for record in caplog.records].count("rate_limiter_away") == 1
        redis_server.start()  # its append-only file knows what was used up
        until = time.monotonic() + 30
        while ask(api).status_code == 200:
            assert time.monotonic() < until, "the limiter did not come back"
            time.sleep(0.1)
        assert "rate_limiter_back" in [record.message for record in caplog.records]


def test_a_redis_that_hangs_delays_few_and_fails_none(catalog: Shop, redis_server: RedisServer) -> None:
    with (
        served(limited(catalog, redis_server.url, rate_per_s=SLOW, rate_burst=1)) as api,
        redis.Redis.from_url(redis_server.url) as admin,
    ):
        ask(api)
        admin.client_pause(5_000)
        assert {ask(api).status_code for _ in range(10)} == {200}
        admin.client_unpause()


def test_a_rate_without_a_redis_is_a_wrong_setting(catalog: Shop) -> None:
    settings = limited(catalog, "redis://unused", rate_per_s=1).settings
    with pytest.raises(ConfigurationError, match="LOOKALIKE_REDIS__URL"):
        create_app(catalog.resources, settings.model_copy(update={"redis": RedisSettings()}))
