"""The transport on a real Redis: what is taken is recorded, counted, leased, and never lost."""

import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from kombu import Connection, Consumer, Exchange, Queue
from kombu.transport.redis import Transport as StockTransport

from worker.transport import QUARANTINE, Transport

ORDER = ("products", "bulk", QUARANTINE)


@pytest.fixture
def client(redis_server: Any) -> Iterator[Any]:
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as opened:
        yield opened


class Worker:
    """A consumer without an event loop; `die` is a kill: nothing is acknowledged or given back."""

    def __init__(self, url: str, *, hands: int = 10, **options: Any) -> None:
        self.messages = []
        options = {"visibility_timeout": 60, "priority_steps": [0], "queue_order": ORDER, **options}
        options |= {"unacked_restore_throttle": 1}
        self.connection = Connection(url, transport=Transport, transport_options=options)
        self.channel = self.connection.channel()
        queues = [Queue(name, Exchange(""), routing_key=name) for name in ORDER]
        self.consumer = Consumer(self.channel, queues, on_message=self.messages.append)
        self.consumer.qos(prefetch_count=hands)
        self.consumer.consume()

    def take(self) -> Any:
        """The next message, or None if there is none now."""
        before = len(self.messages)
        for _ in range(5):
            try:
                self.connection.drain_events(timeout=0.2)
            except TimeoutError:
                continue
            if len(self.messages) > before:
                return self.messages[-1]
        return None

    def die(self) -> None:
        self.channel.qos._delivered.clear()
        self.channel.qos._delivered.restored = True
        self.connection.close()


@pytest.fixture
def start(redis_server: Any) -> Iterator[Any]:
    started = []

    def make(**options: Any) -> Any:
        started.append(Worker(redis_server.url, **options))
        return started[-1]

    yield make
    for worker in started:
        worker.die()


def send(
    url: str, body: Any, queue: str = "products", transport: Any = StockTransport, **options: Any
) -> None:
    with Connection(url, transport=transport, transport_options=options) as connection:
        connection.Producer(serializer="json").publish(
            body, exchange="", routing_key=queue, headers={"task": "t", "id": "1"}
        )


def visible_again(client: Any) -> None:
    """As if the visibility timeout had passed for everything in hand."""
    for tag in client.zrange("unacked_index", 0, -1):
        client.zadd("unacked_index", {tag: 1}, xx=True)
    client.delete(f"{QUARANTINE}:holder")


def test_what_is_taken_is_in_the_books_at_once_and_gone_when_acknowledged(
    client: Any, start: Any, redis_server: Any
) -> None:
    send(redis_server.url, {"n": 1})
    worker = start()
    message = worker.take()
    assert message.payload == {"n": 1}
    (tag,) = client.zrange("unacked_index", 0, -1)
    raw, exchange, queue = json.loads(client.hget("unacked", tag))
    assert (exchange, queue, raw["properties"]["delivery_tag"]) == ("", "products", tag)
    assert client.hget("deliveries", tag) == "1"
    message.ack()
    assert client.keys("unacked*") == []
    assert client.keys("deliveries") == []
    assert worker.take() is None


def test_a_killed_holder_loses_nothing_and_an_orderly_one_is_not_counted(
    client: Any, start: Any, redis_server: Any
) -> None:
    send(redis_server.url, "a")
    dead = start()
    assert dead.take().payload == "a"
    dead.die()
    visible_again(client)
    orderly = start()
    again = orderly.take()
    assert again.payload == "a"
    assert again.delivery_info["redelivered"]
    assert client.hvals("deliveries") == ["2"]
    orderly.channel.close()
    assert client.llen("products") == 1
    assert client.hvals("deliveries") == ["1"]


def test_the_stock_transport_can_take_over(client: Any, start: Any, redis_server: Any) -> None:
    send(redis_server.url, "a")
    start().take()
    visible_again(client)
    with Connection(redis_server.url, transport_options={"visibility_timeout": 60}) as stock:
        stock.default_channel.qos.restore_visible()
        message = stock.default_channel.basic_get("products")
        assert message.payload == "a"
        stock.default_channel.basic_ack(message.delivery_tag)


def test_a_message_that_keeps_ending_its_workers_is_run_alone_and_buried(
    client: Any, start: Any, redis_server: Any
) -> None:
    send(redis_server.url, "poison")
    for delivery in range(5):
        worker = start()
        if delivery == 2:
            send(redis_server.url, "healthy")  # meets it for the first time only now
        taken = [message for message in (worker.take(), worker.take()) if message]
        for message in taken:
            if message.payload == "healthy":
                message.ack()
        assert "poison" in [message.payload for message in taken]
        worker.die()
        visible_again(client)
        held = client.hvals("unacked")
        assert len(held) == 1
        assert json.loads(held[0])[2] == ("products" if delivery < 2 else QUARANTINE)
    last = start()
    assert last.take() is None
    ((_, letter),) = client.xrange("lookalike:dead-letters")
    assert (letter["reason"], letter["attempts"], letter["type"]) == ("DeliveredTooOften", "5", "t")
    assert client.hlen("unacked") == client.llen("products") == client.llen(QUARANTINE) == 0


def test_quarantine_is_consumed_one_at_a_time(start: Any, redis_server: Any) -> None:
    for n in range(2):
        send(redis_server.url, n, QUARANTINE)
    first, second = start(), start()
    message = first.take()
    assert message.payload == 0
    assert second.take() is None
    message.ack()
    assert second.take().payload == 1


def test_the_first_queue_comes_first_and_the_others_never_take_all_hands(
    start: Any, redis_server: Any
) -> None:
    for n in range(4):
        send(redis_server.url, f"bulk {n}", "bulk")
    send(redis_server.url, "urgent")
    worker = start(hands=4)
    assert worker.take().payload == "urgent"
    assert [worker.take().payload for _ in range(3)] == ["bulk 0", "bulk 1", "bulk 2"]
    worker.messages[0].ack()
    assert worker.take() is None
    send(redis_server.url, "urgent too")
    assert worker.take().payload == "urgent too"


@pytest.mark.parametrize(
    "raw",
    [
        b"garbage",
        b"\xff\xfe",
        b"[]",
        b"{}",
        b'{"headers": {}, "body": "", "properties": {"delivery_info": {}}}',
        b'{"headers": {}, "body": "", "properties": {"delivery_tag": 7, "delivery_info": {}}}',
        b'{"headers": {}, "body": "", "properties": {"delivery_tag": "t"}}',
        b'{"headers": [], "properties": {"delivery_tag": "t", "delivery_info": {}}}',
        b'{"headers": {}, "body": 1, "properties": {"delivery_tag": "t", "delivery_info": {}}}',
        b'{"headers": {"x": 0x1}, "body": "", "properties": {"delivery_tag": "t", "delivery_info": {}}}',
        (
            b'{"headers": {}, "body": "a", "properties": {"delivery_tag": "t", "delivery_info": {}, '
            b'"body_encoding": "base64"}}'
        ),
        (  # Lua reads it, Python does not
            b'{"headers": {"x": ' + b"[" * 996 + b"]" * 996 + b'}, "body": "", '
            b'"properties": {"delivery_tag": "t", "delivery_info": {}}}'
        ),
    ],
)
def test_what_is_no_message_is_buried_and_the_next_one_delivered(
    client: Any, start: Any, redis_server: Any, raw: bytes
) -> None:
    client.lpush("products", raw)
    send(redis_server.url, "next")
    worker = start()
    message = worker.take() or worker.take()
    assert message.payload == "next"
    message.ack()
    with redis.Redis.from_url(redis_server.url) as plain:
        ((_, letter),) = plain.xrange("lookalike:dead-letters")
    assert letter[b"document"] == raw
    assert letter[b"reason"] == b"MalformedMessage"
    assert client.hlen("unacked") == 0


def test_an_unreadable_message_of_a_dead_worker_holds_up_no_other(
    client: Any, start: Any, redis_server: Any
) -> None:
    client.hset("unacked", "bad", '[{"headers": 0x1}, "", "products"]')
    client.zadd("unacked_index", {"bad": 1})
    send(redis_server.url, "good")
    start().take()
    visible_again(client)
    assert start().take().payload == "good"
    ((_, letter),) = client.xrange("lookalike:dead-letters")
    assert "0x1" in letter["document"]
    assert client.hkeys("unacked") != ["bad"]


def test_leases_are_renewed_for_what_is_in_hand_only(client: Any, start: Any, redis_server: Any) -> None:
    for n in range(2):
        send(redis_server.url, n)
    worker = start()
    done, held = worker.take(), worker.take()
    done.ack()
    client.zadd("unacked_index", {held.delivery_tag: 1})
    worker.channel.qos.renew_leases()
    assert client.zrange("unacked_index", 0, -1) == [held.delivery_tag]
    assert client.zscore("unacked_index", held.delivery_tag) > time.time() - 60
    worker.channel.claims[held.delivery_tag] = type(worker.channel.claims[held.delivery_tag])(
        "products", -1e9
    )
    client.zadd("unacked_index", {held.delivery_tag: 1})
    worker.channel.qos.renew_leases()
    assert client.zscore("unacked_index", held.delivery_tag) == 1  # held for longer than any task lasts


def test_every_key_carries_the_global_prefix(client: Any, start: Any, redis_server: Any) -> None:
    send(redis_server.url, "a", transport=Transport, global_keyprefix="shop:")
    worker = start(global_keyprefix="shop:")
    message = worker.take()
    assert message.payload == "a"
    assert all(key.startswith("shop:") for key in client.scan_iter("*"))
    assert client.hlen("shop:unacked") == 1
    message.reject(requeue=True)
    assert client.llen("shop:products") == 1
    worker.take().ack()
    assert client.hlen("shop:unacked") == client.hlen("shop:deliveries") == 0
