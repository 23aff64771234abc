"""The consumer of the event stream on a real Redis."""

import base64
import json
from collections.abc import Iterator
from threading import Thread
from typing import Any

import pytest
import redis
from celery import Celery
from kombu import Exchange, Queue

from worker.stream import GROUP, StreamConsumer

STREAM = "lookalike:events"


@pytest.fixture
def client(redis_server: Any) -> Iterator[Any]:
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as opened:
        yield opened


@pytest.fixture
def running(make_settings: Any, redis_server: Any) -> Iterator[Any]:
    """Start consumers, each on a thread; all end with the test."""
    producer = Celery("stream", broker=redis_server.url, set_as_current=False)
    producer.conf.task_queues = [
        Queue(name, Exchange(""), routing_key=name) for name in ("products", "catalog")
    ]
    producer.conf.task_routes = {"products.*": {"queue": "products"}, "catalog.*": {"queue": "catalog"}}
    producer.conf.task_routes["products.patch"] = {"queue": "missing"}
    producer.conf.task_create_missing_queues = False
    threads = []

    def start() -> Any:
        consumer = StreamConsumer(producer, make_settings(redis={"url": redis_server.url}))
        thread = Thread(target=consumer.run)
        thread.start()
        threads.append((consumer, thread))
        return consumer

    yield start
    for consumer, thread in threads:
        consumer.stop()
        thread.join(30)
    assert not any(thread.is_alive() for _, thread in threads)
    producer.close()


def forwarded(client: Any, queue: str) -> Any:
    """(task, args, kwargs) of every message in a queue, oldest first."""
    found = []
    for raw in reversed(client.lrange(queue, 0, -1)):
        message = json.loads(raw)
        args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
        found.append((message["headers"]["task"], args, kwargs))
    return found


def test_entries_become_messages_and_bad_ones_dead_letters(client: Any, running: Any, wait_for: Any) -> None:
    client.xadd(STREAM, {"type": "products.upsert", "data": '[{"id": "a"}, {"id": "b"}]'})  # before the group
    running()
    client.xadd(STREAM, {"type": "products.delete", "data": '{"id": "c", "version": 1}'})
    client.xadd(STREAM, {"type": "catalog.refresh", "data": '{"feed": "s3://b/f"}'})
    client.xadd(STREAM, {"type": "products.unknown", "data": "[]"})
    client.xadd(STREAM, {"type": "products.upsert", "data": "{"})
    client.xadd(STREAM, {"type": "catalog.refresh", "data": "[]"})
    client.xadd(STREAM, {"other": "field"})
    client.xadd(STREAM, {"type": "products.upsert", "data": "[" * 100_000})
    client.xadd(STREAM, {"type": "products.patch", "data": "{}"})  # has no queue here
    client.xadd(STREAM, {"type": "products.upsert", "data": '{"id": "last"}'})
    wait_for("six dead letters", lambda: client.xlen("lookalike:dead-letters") == 6)
    wait_for("the last one", lambda: client.llen("products") == 3)
    assert forwarded(client, "products") == [
        ("products.upsert", [[{"id": "a"}, {"id": "b"}]], {}),
        ("products.delete", [[{"id": "c", "version": 1}]], {}),
        ("products.upsert", [[{"id": "last"}]], {}),
    ]
    assert forwarded(client, "catalog") == [("catalog.refresh", [], {"feed": "s3://b/f"})]
    messages = [fields["message"] for _, fields in client.xrange("lookalike:dead-letters")]
    assert "products.unknown" in messages[0]
    assert "not JSON" in messages[1]
    assert "an object" in messages[2]
    wait_for("all acknowledged", lambda: client.xpending(STREAM, GROUP)["pending"] == 0)


def test_an_entry_that_is_too_much_for_one_message_becomes_several(
    client: Any, running: Any, wait_for: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.publish.BATCH_BYTES", 1)
    client.xadd(STREAM, {"type": "products.upsert", "data": '[{"id": "a"}, {"id": "b"}]'})
    running()
    wait_for("both are forwarded", lambda: client.llen("products") == 2)
    assert [args for _, args, _ in forwarded(client, "products")] == [[[{"id": "a"}]], [[{"id": "b"}]]]


def test_what_this_consumer_was_given_before_is_forwarded(
    client: Any, running: Any, wait_for: Any, make_settings: Any, redis_server: Any
) -> None:
    consumer = StreamConsumer(Celery(set_as_current=False), make_settings(redis={"url": redis_server.url}))
    client.xadd(STREAM, {"type": "products.upsert", "data": '{"id": "a"}'})
    client.xgroup_create(STREAM, GROUP, "0")
    client.xreadgroup(GROUP, consumer._name, {STREAM: ">"})  # and then its process was killed
    running()
    wait_for("it is forwarded", lambda: client.llen("products") == 1)


def test_what_keeps_ending_this_consumer_is_a_dead_letter_and_costs_no_other(
    client: Any, running: Any, wait_for: Any, make_settings: Any, redis_server: Any
) -> None:
    consumer = StreamConsumer(Celery(set_as_current=False), make_settings(redis={"url": redis_server.url}))
    for identity in ("poison", "good"):
        client.xadd(STREAM, {"type": "products.upsert", "data": json.dumps({"id": identity})})
    client.xgroup_create(STREAM, GROUP, "0")
    client.xreadgroup(GROUP, consumer._name, {STREAM: ">"})
    for _ in range(4):
        assert len(consumer._read("0", count=1)) == 1  # and each time its process was killed
    running()
    wait_for("the other is forwarded", lambda: client.llen("products") == 1)
    assert forwarded(client, "products")[0][1] == [[{"id": "good"}]]
    ((_, letter),) = client.xrange("lookalike:dead-letters")
    assert "6 times" in letter["message"]
    assert "poison" in letter["document"]


def test_an_outage_is_not_held_against_an_entry(client: Any, running: Any, wait_for: Any) -> None:
    client.xadd(STREAM, {"type": "products.upsert", "data": '{"id": "a"}'})
    client.xgroup_create(STREAM, GROUP, "0")
    client.set("products", "no list")  # whatever is published is refused
    consumer = running()

    def given() -> Any:
        return client.xpending_range(STREAM, GROUP, "-", "+", 10, consumername=consumer._name)

    wait_for("it was taken and given back", lambda: [p["times_delivered"] for p in given()] == [0])
    client.delete("products")
    wait_for("it is forwarded", lambda: client.llen("products") == 1)
    assert client.xlen("lookalike:dead-letters") == 0


def test_what_a_dead_consumer_held_is_taken_over(
    client: Any, running: Any, wait_for: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.stream.CLAIM_IDLE_MS", 0)
    client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    client.xadd(STREAM, {"type": "products.upsert", "data": '{"id": "held"}'})
    client.xadd(STREAM, {"type": "products.upsert", "data": '{"id": "poison"}'})
    held, poison = (entry for entry, _ in client.xrange(STREAM))
    client.xreadgroup(GROUP, "dead", {STREAM: ">"})
    client.xclaim(STREAM, GROUP, "dead", 0, [poison], retrycount=5)
    assert held
    running()
    wait_for("the poison is a dead letter", lambda: client.xlen("lookalike:dead-letters") == 1)
    wait_for("the other is forwarded", lambda: client.llen("products") == 1)
    assert forwarded(client, "products")[0][1] == [[{"id": "held"}]]
    assert "6 times" in client.xrange("lookalike:dead-letters")[0][1]["message"]


def test_what_ends_a_consumer_is_not_held_against_its_neighbours(
    client: Any, make_settings: Any, redis_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.stream.CLAIM_IDLE_MS", 0)
    client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    for _ in range(3):
        client.xadd(STREAM, {"type": "products.upsert", "data": "[]"})
    client.xreadgroup(GROUP, "dead", {STREAM: ">"})
    consumer = StreamConsumer(Celery(set_as_current=False), make_settings(redis={"url": redis_server.url}))

    def ends(*_: Any) -> None:
        raise SystemExit

    monkeypatch.setattr("worker.stream.publish", ends)
    with pytest.raises(SystemExit):
        consumer._take_over()
    assert [times for _, times in consumer._pending("-", "+", 10)] == [2, 1, 1]


def test_an_entry_that_was_deleted_while_it_was_pending_stops_nothing(
    client: Any, running: Any, wait_for: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.stream.CLAIM_IDLE_MS", 0)
    client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    deleted = client.xadd(STREAM, {"type": "products.upsert", "data": "[]"})
    client.xadd(STREAM, {"type": "products.upsert", "data": "[]"})
    client.xreadgroup(GROUP, "dead", {STREAM: ">"})
    client.xdel(STREAM, deleted)
    running()
    wait_for("the other is forwarded", lambda: client.llen("products") == 1)
    wait_for("nothing is pending", lambda: client.xpending(STREAM, GROUP)["pending"] == 0)


def test_consumers_that_are_gone_are_forgotten_unless_they_hold_something(
    client: Any, make_settings: Any, redis_server: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("worker.stream.FORGET_IDLE_MS", -1)
    client.xgroup_create(STREAM, GROUP, "0", mkstream=True)
    client.xadd(STREAM, {"type": "products.upsert", "data": "[]"})
    client.xreadgroup(GROUP, "holding", {STREAM: ">"})
    client.xgroup_createconsumer(STREAM, GROUP, "gone")
    consumer = StreamConsumer(Celery(set_as_current=False), make_settings(redis={"url": redis_server.url}))
    client.xgroup_createconsumer(STREAM, GROUP, consumer._name)
    consumer._forget_the_dead()
    names = {found["name"] for found in client.xinfo_consumers(STREAM, GROUP)}
    assert names == {"holding", consumer._name}
    monkeypatch.setattr("worker.stream.FORGET_IDLE_MS", 60_000)
    client.xack(STREAM, GROUP, *[entry for entry, _ in client.xrange(STREAM)])
    consumer._forget_the_dead()
    assert len(client.xinfo_consumers(STREAM, GROUP)) == 2


def test_a_lost_group_is_made_again_and_redis_may_restart(
    client: Any, running: Any, wait_for: Any, redis_server: Any
) -> None:
    running()
    client.xadd(STREAM, {"type": "products.upsert", "data": '{"id": "a"}'})
    wait_for("a", lambda: client.llen("products") == 1)
    client.delete(STREAM)
    client.xadd(STREAM, {"type": "products.upsert", "data": '{"id": "b"}'})
    wait_for("b", lambda: client.llen("products") == 2)
    redis_server.kill()
    redis_server.start()
    client.xadd(STREAM, {"type": "products.upsert", "data": '{"id": "c"}'})
    wait_for("c", lambda: any("c" in str(args) for _, args, _ in forwarded(client, "products")))


def test_only_what_every_group_is_done_with_is_trimmed(
    client: Any, make_settings: Any, redis_server: Any
) -> None:
    consumer = StreamConsumer(Celery(set_as_current=False), make_settings(redis={"url": redis_server.url}))
    entries = [client.xadd(STREAM, {"type": "x"}) for _ in range(6)]
    client.xgroup_create(STREAM, GROUP, "0")
    client.xgroup_create(STREAM, "another", "0")
    client.xreadgroup(GROUP, "me", {STREAM: ">"})
    client.xack(STREAM, GROUP, *entries)
    client.xreadgroup("another", "it", {STREAM: ">"}, count=4)
    client.xack(STREAM, "another", *entries[:2])
    consumer._trim()
    assert [entry for entry, _ in client.xrange(STREAM)] == entries[2:]
