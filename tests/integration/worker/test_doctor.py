"""The doctor, of real parts: each thing that must be fixed is seen, and said with its remedy."""

import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis

from recommender.encoders.load import load_encoder
from recommender.encoders.recipe import Recipe
from recommender.index.open import open_engine, open_serving_index
from recommender.resources import open_resources
from recommender.swap_state import ProcessReport, SwapBook, SwapState
from tests.integration.index.qdrant_servicer import QdrantState, qdrant_server
from worker.doctor import machine
from worker.doctor import redis as redis_doctor
from worker.doctor.examination import examine
from worker.doctor.finding import Finding

Examine = Callable[..., dict[str, Finding]]


@pytest.fixture
def client(redis_server: Any) -> Iterator["redis.Redis"]:
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as opened:
        yield opened


@pytest.fixture
def healthy(redis_server: Any, s3: Any, weights: Path) -> dict[str, Any]:
    """Settings of a system that lacks nothing."""
    s3.put("a.jpg", b"x")
    return {
        "redis": {"url": redis_server.url},
        "encoder": {"weights": str(weights)},
        "s3": {"endpoint_url": s3.endpoint_url, "buckets": (s3.bucket,)},
        "api": {"port": 0},
    }


@pytest.fixture
def examined(make_settings: Any, healthy: dict[str, Any]) -> Examine:
    """What the doctor finds, by subject, with these settings beside the healthy ones."""

    def go(**values: Any) -> dict[str, Finding]:
        findings = list(examine(make_settings(**(healthy | values))))
        found = {finding.subject: finding for finding in findings}
        assert len(found) == len(findings)
        assert all(bool(finding.remedy) == (finding.state != "ok") for finding in findings)
        return found

    return go


def states(found: dict[str, Finding], state: str) -> set[str]:
    return {subject for subject, finding in found.items() if finding.state == state}


def test_all_is_well(examined: Examine, s3: Any) -> None:
    found = examined()
    assert states(found, "fix") == set()
    assert states(found, "warn") <= {"disk", "redis memory"}  # this machine's
    assert set(found) == {
        "redis",
        "redis persistence",
        "redis eviction",
        "redis memory",
        "redis clock",
        "queues",
        "messages in hand",
        "event stream",
        "dead letters",
        "processes",
        "device",
        "encoder",
        "index",
        "collection",
        "credentials",
        f"bucket {s3.bucket}",
        "data_dir",
        "disk",
        "api port",
        "schedule",
    }
    assert "appendfsync everysec" in found["redis persistence"].found


def test_redis_is_away(examined: Examine) -> None:
    found = examined(redis={"url": "redis://:secret@127.0.0.1:1/0"})
    assert states(found, "fix") == {"redis"}
    assert "redis://127.0.0.1:1/0" in found["redis"].remedy
    assert "secret" not in str(found)


@pytest.mark.parametrize(
    ("options", "subject", "state", "remedy"),
    [
        ({"appendonly": "no"}, "redis persistence", "fix", "appendonly yes"),
        ({"appendfsync": "no"}, "redis persistence", "fix", "appendfsync everysec"),
        ({"maxmemory-policy": "allkeys-lru"}, "redis eviction", "fix", "maxmemory-policy noeviction"),
        ({"maxmemory": "900000"}, "redis memory", "fix", "raise maxmemory"),
        ({"appendfsync": "always"}, "redis persistence", "ok", ""),
    ],
)
def test_redis_is_configured_so_that_messages_may_be_lost(
    examined: Examine, client: Any, options: dict[str, str], subject: str, state: str, remedy: str
) -> None:
    for name, value in options.items():
        client.config_set(name, value)
    finding = examined()[subject]
    assert finding.state == state
    assert remedy in finding.remedy


def test_redis_is_too_old(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(redis_doctor, "OLDEST", (99, 0))
    finding = examined()["redis"]
    assert finding.state == "fix"
    assert "upgrade" in finding.remedy


def test_redis_is_a_replica(examined: Examine, client: Any) -> None:
    client.replicaof("127.0.0.1", "1")
    assert "a replica" in examined()["redis"].found


def test_a_clock_is_apart(examined: Examine, monkeypatch: pytest.MonkeyPatch) -> None:
    class Late:
        @staticmethod
        def time() -> float:
            return time.time() - 30

    monkeypatch.setattr(redis_doctor, "time", Late)
    assert examined()["redis clock"].state == "fix"


def test_what_waits_is_counted(examined: Examine, client: Any) -> None:
    client.lpush("products", "a", "b")
    client.lpush("quarantine", "c")
    client.zadd("unacked_index", {"tag": time.time() - 1000})
    client.hset("unacked", "tag", "message")
    client.xadd("lookalike:events", {"type": "products.delete"})
    client.xadd("lookalike:dead-letters", {"reason": "ImageNotFound"})
    found = examined(worker={"dead_letters_alarm": 2})
    assert "products 2, catalog 0, bulk 0, quarantine 1" in found["queues"].found
    waiting = {"queues", "messages in hand", "event stream", "dead letters"}
    assert waiting <= states(found, "warn")
    assert "start a worker" in found["messages in hand"].remedy
    client.xadd("lookalike:dead-letters", {"reason": "ImageNotFound"})
    assert examined(worker={"dead_letters_alarm": 2})["dead letters"].state == "fix"


def test_an_entry_of_the_stream_is_in_nobodys_hands(
    examined: Examine, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    client.xgroup_create("lookalike:events", "celery", "0", mkstream=True)
    client.xadd("lookalike:events", {"type": "products.delete"})
    client.xreadgroup("celery", "gone", {"lookalike:events": ">"})
    assert examined()["event stream"].state == "ok"
    monkeypatch.setattr("worker.doctor.broker.STREAM_IDLE_MS", 0)
    assert "nobody" in examined()["event stream"].found


def test_the_encoder_and_its_device(examined: Examine, tmp_path: Path) -> None:
    found = examined(encoder={"name": "no-such"})
    assert states(found, "fix") == {"encoder"}
    assert "no-such" in found["encoder"].found
    found = examined(encoder={"weights": str(tmp_path / "missing.pt"), "device": "cuda"})
    assert {"encoder"} <= states(found, "fix") <= {"encoder", "device"}


@pytest.fixture
def server(tmp_path: Path) -> Iterator[tuple[dict[str, Any], QdrantState]]:
    """The index settings of a server."""
    with qdrant_server(tmp_path) as (port, state):
        yield {"url": "http://127.0.0.1:6333", "grpc_port": port, "timeout_s": 5}, state


def test_the_server_of_the_index(
    examined: Examine, make_settings: Any, healthy: dict[str, Any], server: Any
) -> None:
    index, state = server
    assert examined(index=index)["collection"].state == "ok"
    with open_resources(make_settings(**healthy, index=index)):
        pass
    found = examined(index=index)
    assert (found["collection"].state, found["payload indexes"].state) == ("ok", "ok")
    found = examined(index={**index, "attributes": ("colour",)})
    assert found["payload indexes"].state == "fix"
    assert "attributes.colour" in found["payload indexes"].found
    found = examined(index=index, encoder={"name": "no-such"})
    assert (found["encoder"].state, found["collection"].state) == ("ok", "ok")
    assert "ENCODER__NAME is no-such" in found["encoder"].found
    state.version = "1.16.9"
    found = examined(index=index)
    assert found["index"].state == "fix"
    assert "1.17 or newer" in found["index"].found


def test_processes_and_the_swap_that_they_follow(examined: Examine, client: Any) -> None:
    book, other = SwapBook(client, "lookalike"), SwapBook(client, "lookalike")
    recipe = Recipe("compact-128")
    book.begin(SwapState("1", "compact-000000000000", "compact-128-111111111111", recipe, "judging"))
    book.report(ProcessReport("worker", ("compact-000000000000",), "compact-000000000000", "1"))
    found = examined()
    assert "judging: from compact-000000000000" in found["model swap"].found
    assert "1 workers and 0 of the API alone, serving compact-000000000000" in found["processes"].found
    other.report(ProcessReport("api", ("compact-128-111111111111",), "compact-128-111111111111", "1"))
    assert examined()["processes"].state == "warn"
    other.report(ProcessReport("api", (), "compact-000000000000", "1", "compact-128-111111111111: no room"))
    found = examined()
    assert found["processes"].state == "fix"
    assert f"{other.own_name}: compact-128-111111111111: no room" in found["processes"].found


def test_the_index_is_away(examined: Examine) -> None:
    found = examined(index={"url": "http://127.0.0.1:1", "grpc_port": 1, "timeout_s": 1})
    assert states(found, "fix") == {"index"}
    assert "INDEX__URL" in found["index"].remedy


def test_another_encoder_filled_the_collection(
    examined: Examine, make_settings: Any, healthy: dict[str, Any], server: Any
) -> None:
    index, state = server
    engine = open_engine(make_settings(**healthy, index=index))
    open_serving_index(engine, "resnet50-ba9876543210", 2048).close()
    assert examined(index=index, encoder={"name": "no-such"})["collection"].state == "warn"
    found = examined(index=index)
    assert found["collection"].state == "fix"
    assert "resnet50-ba9876543210" in found["collection"].found
    assert "CATALOG" in found["collection"].remedy
    del state.collections["lookalike.resnet50-ba9876543210"]
    assert "alias" in examined(index=index)["collection"].remedy
    engine.close()


def test_a_collection_of_another_dimension(
    examined: Examine, make_settings: Any, healthy: dict[str, Any], server: Any
) -> None:
    index, _ = server
    settings = make_settings(**healthy, index=index)
    engine = open_engine(settings)
    open_serving_index(engine, load_encoder(settings.encoder).fingerprint, 3).close()
    engine.close()
    finding = examined(index=index)["collection"]
    assert finding.state == "fix"
    assert "dimension 3" in finding.found


def test_an_embedded_index_that_another_process_owns(
    examined: Examine, make_settings: Any, healthy: dict[str, Any]
) -> None:
    with open_resources(make_settings(**healthy)):
        finding = examined()["collection"]
    assert finding.state == "fix"
    assert "another process owns" in finding.found


def test_buckets(
    examined: Examine, s3: Any, healthy: dict[str, Any], monkeypatch: pytest.MonkeyPatch
) -> None:
    found = examined(s3={**healthy["s3"], "buckets": (s3.bucket, "no-such")})
    assert states(found, "fix") == {"bucket no-such"}
    assert "create it" in found["bucket no-such"].remedy
    s3.client.delete_object(Bucket=s3.bucket, Key="a.jpg")
    assert "empty" in examined()[f"bucket {s3.bucket}"].found
    assert examined(s3={})["buckets"].state == "fix"
    assert examined(s3={}, images={"https_hosts": ("cdn.example",)})["buckets"].state == "warn"
    away = examined(s3={**healthy["s3"], "endpoint_url": "http://127.0.0.1:1"})[f"bucket {s3.bucket}"]
    assert away.state == "fix"
    assert "S3__ENDPOINT_URL" in away.remedy
    monkeypatch.delenv("AWS_ACCESS_KEY_ID")
    monkeypatch.delenv("AWS_SECRET_ACCESS_KEY")
    monkeypatch.setenv("AWS_CONFIG_FILE", "/dev/null")
    monkeypatch.setenv("AWS_SHARED_CREDENTIALS_FILE", "/dev/null")
    assert examined()["credentials"].state == "fix"


@pytest.mark.parametrize(
    ("denied", "state", "remedy"),
    [("ListObjectsV2", "warn", "s3:ListBucket"), ("HeadObject", "fix", "s3:GetObject")],
)
def test_a_bucket_of_few_permissions(
    examined: Examine, s3: Any, monkeypatch: pytest.MonkeyPatch, denied: str, state: str, remedy: str
) -> None:
    monkeypatch.setattr("worker.doctor.buckets.S3Store", denying(denied))
    finding = examined()[f"bucket {s3.bucket}"]
    assert finding.state == state
    assert remedy in finding.remedy


def denying(operation: str) -> Any:
    """A store whose answer to one operation is 403, as S3's would be."""
    from botocore.awsrequest import AWSResponse  # noqa: PLC0415

    from recommender.images.s3 import S3Store  # noqa: PLC0415

    def make(*arguments: Any) -> S3Store:
        store = S3Store(*arguments)
        body = b"<Error><Code>AccessDenied</Code><Message>no</Message></Error>"

        class Raw:
            def stream(self, **_: Any) -> Iterator[bytes]:
                yield body

        def refuse(request: Any, **_: Any) -> AWSResponse:
            return AWSResponse(request.url, 403, {}, Raw())

        store.client.meta.events.register(f"before-send.s3.{operation}", refuse)
        return store

    return make


def test_this_machine(
    examined: Examine, tmp_path: Path, free_port: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("")
    assert examined(data_dir=tmp_path / "file" / "data")["data_dir"].state == "fix"
    assert examined(api={"host": "0.0.0.0", "port": 0})["api port"].state == "fix"  # noqa: S104
    assert examined(api={"host": "192.0.2.1", "port": 0})["api port"].state == "fix"
    taken = examined(api={"port": free_port}, worker={"metrics_port": free_port})  # redis-server has it
    assert {"api port", "metrics port"} <= states(taken, "warn")
    monkeypatch.setattr(machine, "VERY_LITTLE_BYTES", 2**80)
    assert examined()["disk"].state == "fix"


def test_the_scheduled_feed(examined: Examine, s3: Any) -> None:
    feed = {"allowed": (f"s3://{s3.bucket}/",), "scheduled": f"s3://{s3.bucket}/feed.jsonl"}
    finding = examined(feed=feed)["schedule"]
    assert finding.state == "fix"
    assert "FEED__SCHEDULED" in finding.remedy
    s3.put("feed.jsonl", b"{}")
    assert examined(feed=feed)["schedule"].state == "ok"
