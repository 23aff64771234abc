"""The transport on a real Redis: what is taken is recorded, leased, taken over, and never lost."""

import json
import logging
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest
import redis
from kombu import Connection, Consumer, Exchange, Queue
from kombu.transport.redis import Transport as StockTransport

from worker import transport as module
from worker.claim import QUARANTINE
from worker.deliveries import Deliveries
from worker.in_hand import InHand
from worker.transport import Transport

ORDER = ("products", "bulk", QUARANTINE)
BOOKS = ("unacked", "unacked_index", "deliveries")


@pytest.fixture
def client(redis_server: Any) -> Iterator[Any]:
    with redis.Redis.from_url(redis_server.url, decode_responses=True, encoding_errors="replace") as opened:
        yield opened


class Worker:
    """A consumer without an event loop; `die` is a kill: nothing is acknowledged or given back."""

    def __init__(self, url: str, *, hands: int = 10, transport: Any = Transport, **options: Any) -> None:
        self.url = url
        self.messages: list[Any] = []
        options = {
            "visibility_timeout": 60,
            "unacked_restore_interval": 0.02,
            "unacked_restore_throttle": 1,
            "queue_order": ORDER,
            **options,
        }
        self.connection = Connection(url, transport=transport, transport_options=options)
        self.channel = self.connection.channel()
        queues = [Queue(name, Exchange(""), routing_key=name) for name in ORDER]
        self.consumer = Consumer(self.channel, queues, on_message=self.messages.append)
        self.consumer.qos(prefetch_count=hands)
        self.consumer.consume()

    def take(self, *, within_s: float = 1) -> Any:
        """The next message, or None if there is none now."""
        before = len(self.messages)
        deadline = time.monotonic() + within_s
        while time.monotonic() < deadline:
            try:
                self.connection.drain_events(timeout=0.1)
            except TimeoutError:
                continue
            if len(self.messages) > before:
                return self.messages[-1]
        return None

    def begin(self, message: Any) -> None:
        """As the body of a task does."""
        with redis.Redis.from_url(self.url) as client:
            Deliveries(client, "").begin(message.delivery_tag)

    def die(self) -> None:
        self.channel.qos._delivered.clear()
        self.channel.qos._delivered.restored = True
        self.connection.close()


@pytest.fixture
def start(redis_server: Any) -> Iterator[Callable[..., Worker]]:
    started = []

    def make(**options: Any) -> Worker:
        started.append(Worker(redis_server.url, **options))
        return started[-1]

    yield make
    for worker in started:
        worker.die()


@pytest.fixture
def successor(start: Any, client: Any) -> Callable[..., Worker]:
    """A worker that finds the visibility timeout of all that is in hand over."""

    def make(**options: Any) -> Worker:
        for tag in client.zrange("unacked_index", 0, -1):
            client.zadd("unacked_index", {tag: 1}, xx=True)
        return start(visibility_timeout=1, **options)

    return make


def send(
    url: str, body: Any, queue: str = "products", transport: Any = StockTransport, **options: Any
) -> None:
    with Connection(url, transport=transport, transport_options=options) as connection:
        connection.Producer(serializer="json").publish(
            body, exchange="", routing_key=queue, headers={"task": "t", "id": "1"}
        )


def envelope(tag: str, body: str = "[]") -> str:
    info = {"exchange": "", "routing_key": "products"}
    properties = {"delivery_tag": tag, "delivery_info": info}
    headers = {"task": "t", "id": "1"}
    return json.dumps(
        {"body": body, "content-type": "application/json", "headers": headers, "properties": properties}
    )


def letters(client: Any) -> list[dict[str, str]]:
    return [fields for _, fields in client.xrange("lookalike:dead-letters")]


def test_what_is_taken_is_in_the_books_at_once_and_gone_when_acknowledged(
    client: Any, start: Any, redis_server: Any
) -> None:
    send(redis_server.url, {"n": 1})
    worker = start()
    message = worker.take()
    assert message.payload == {"n": 1}
    ((tag, at),) = client.zrange("unacked_index", 0, -1, withscores=True)
    assert 0 <= float("{}.{:06}".format(*client.time())) - at < 60
    raw, exchange, queue = json.loads(client.hget("unacked", tag))
    assert (exchange, queue, raw["properties"]["delivery_tag"]) == ("", "products", tag)
    worker.begin(message)
    message.ack()
    assert client.exists(*BOOKS, "products") == 0
    assert worker.take() is None


def test_a_body_that_never_began_is_not_counted(
    client: Any, start: Any, successor: Any, redis_server: Any
) -> None:
    send(redis_server.url, "a")
    start().take()
    for _ in range(7):
        worker = successor()
        message = worker.take(within_s=10)
        assert message.delivery_info["redelivered"]
        assert client.exists("deliveries") == 0
        worker.die()
    assert client.llen(QUARANTINE) == 0


def test_an_orderly_end_gives_back_what_has_not_begun_in_its_order(
    client: Any, start: Any, redis_server: Any
) -> None:
    for n in range(3):
        send(redis_server.url, n)
    worker = start()
    begun, *others = (worker.take() for _ in range(3))
    worker.begin(begun)
    worker.channel.close()
    assert client.hkeys("unacked") == [begun.delivery_tag]  # its body goes on, or was killed
    assert client.hvals("deliveries") == ["1"]
    successor = start()
    assert [successor.take().payload for _ in others] == [1, 2]


def test_the_stock_transport_can_take_over(client: Any, start: Any, redis_server: Any) -> None:
    send(redis_server.url, "a")
    (tag,) = {start().take().delivery_tag}
    client.zadd("unacked_index", {tag: 1})
    with Connection(redis_server.url, transport_options={"visibility_timeout": 60}) as stock:
        stock.default_channel.qos.restore_visible()
        message = stock.default_channel.basic_get("products")
        assert message.payload == "a"
        stock.default_channel.basic_ack(message.delivery_tag)


def test_what_the_stock_transport_held_is_taken_over_whatever_its_exchange_and_priority(
    client: Any, successor: Any, redis_server: Any
) -> None:
    with Connection(redis_server.url) as connection:
        bound = Queue("products", Exchange("shop"), routing_key="products")
        for exchange in ("shop", "forgotten"):
            connection.Producer(serializer="json").publish(
                exchange, exchange=exchange, routing_key="products", priority=5, declare=[bound]
            )
        connection.Producer(serializer="json").publish("x", exchange="", routing_key="products", priority=5)
        held = [connection.default_channel.basic_get("products") for _ in range(2)]
        assert client.hlen("unacked") == 2
        connection.default_channel.qos._delivered.clear()
        connection.default_channel.qos._delivered.restored = True
    record = json.loads(client.hget("unacked", held[0].delivery_tag))
    client.hset("unacked", held[0].delivery_tag, json.dumps([record[0], "unknown", "products"]))
    worker = successor()
    assert {worker.take(within_s=10).payload for _ in range(2)} == {message.payload for message in held}


def test_what_began_and_comes_again_is_run_in_quarantine_and_buried_in_the_end(
    client: Any, start: Any, successor: Any, redis_server: Any, caplog: pytest.LogCaptureFixture
) -> None:
    send(redis_server.url, "poison")
    worker = start()
    for delivery in range(5):
        message = worker.take(within_s=10)
        assert message.payload == "poison"
        (record,) = client.hvals("unacked")
        assert json.loads(record)[2] == ("products" if delivery == 0 else QUARANTINE)
        worker.begin(message)
        worker.die()
        worker = successor()
    send(redis_server.url, "healthy")
    with caplog.at_level(logging.WARNING, "worker"):
        while not letters(client):
            if message := worker.take():
                message.ack()
    (letter,) = letters(client)
    assert (letter["reason"], letter["attempts"], letter["type"]) == ("DeliveredTooOften", "5", "t")
    (arrival,) = [record for record in caplog.records if record.message == "dead_letter"]
    assert (arrival.reason, arrival.type, arrival.attempts) == ("DeliveredTooOften", "t", 5)
    assert client.exists(*BOOKS, "products", QUARANTINE) == 0


def test_a_living_worker_that_gives_a_message_back_is_not_held_against_it(
    client: Any, start: Any, redis_server: Any
) -> None:
    send(redis_server.url, "a")
    worker = start()
    for _ in range(7):
        message = worker.take()
        worker.begin(message)
        message.reject(requeue=True)
        assert client.exists(*BOOKS) == 0
    assert client.llen("products") == 1
    client.hset("deliveries", message.delivery_tag, 3)
    message = worker.take()
    worker.begin(message)
    message.reject(requeue=True)
    assert client.hvals("deliveries") == ["3"]
    assert client.llen(QUARANTINE) == 1


def test_a_process_has_one_message_of_quarantine_in_hand(start: Any, redis_server: Any) -> None:
    for n in range(3):
        send(redis_server.url, n, QUARANTINE)
    first, second = start(), start()
    message = first.take()
    assert message.payload == 0
    assert first.take() is None
    assert second.take().payload == 1  # and another process has its own
    message.ack()
    assert first.take().payload == 2


def test_a_suspects_turn_comes_whatever_waits_in_the_other_queues(start: Any, redis_server: Any) -> None:
    for n in range(3):
        send(redis_server.url, n)
        send(redis_server.url, f"suspect {n}", QUARANTINE)
    worker = start()
    assert [worker.take().payload for _ in range(4)] == ["suspect 0", 0, 1, 2]
    worker.messages[0].ack()
    assert worker.take().payload == "suspect 1"


def test_what_ended_its_worker_in_quarantine_waits_behind_the_others(
    client: Any, start: Any, successor: Any, redis_server: Any
) -> None:
    for name in ("poison", "bystander"):
        send(redis_server.url, name, QUARANTINE)
    worker = start()
    worker.begin(worker.take())
    worker.die()
    after_the_sweep = successor(may_consume=lambda: client.llen(QUARANTINE) == 2)
    assert after_the_sweep.take(within_s=10).payload == "bystander"


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
        b'{"headers": {}, "body": "", "properties": {"delivery_tag": "", "delivery_info": {}}}',
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
    client: Any, start: Any, redis_server: Any, raw: bytes, caplog: pytest.LogCaptureFixture
) -> None:
    client.lpush("products", raw)
    send(redis_server.url, "next")
    with caplog.at_level(logging.WARNING, "worker"):
        start().take().ack()
    with redis.Redis.from_url(redis_server.url) as plain:
        ((_, letter),) = plain.xrange("lookalike:dead-letters")
    assert letter[b"document"] == raw
    assert letter[b"reason"] == b"MalformedMessage"
    assert [r.reason for r in caplog.records if r.message == "dead_letter"] == ["MalformedMessage"]
    assert client.exists(*BOOKS, "products") == 0


def test_an_unreadable_record_of_a_dead_worker_holds_up_no_other(
    client: Any, start: Any, successor: Any, redis_server: Any
) -> None:
    client.hset("unacked", mapping={"bad": '[{"headers": 0x1}, "", "products"]', "worse": "{"})
    client.hset("unacked", "lost", json.dumps([json.loads(envelope("lost")), "unknown", "nowhere"]))
    client.zadd("unacked_index", {"bad": 1, "worse": 1, "lost": 1, "no record": 1})
    send(redis_server.url, "good")
    start().take()
    message = successor().take(within_s=10)
    assert message.payload == "good"
    documents = [letter["document"] for letter in letters(client)]
    assert len(documents) == 3
    assert any("nowhere" in document for document in documents)
    message.ack()
    assert client.exists(*BOOKS) == 0


def test_leases_are_renewed_for_what_is_in_hand_only(client: Any, start: Any, redis_server: Any) -> None:
    for n in range(2):
        send(redis_server.url, n)
    worker = start()
    done, held = worker.take(), worker.take()
    done.ack()
    client.zadd("unacked_index", {held.delivery_tag: 1})
    worker.take(within_s=0.3)
    ((tag, at),) = client.zrange("unacked_index", 0, -1, withscores=True)
    assert tag == held.delivery_tag
    assert at > 1


def test_a_sign_of_life_counts_even_after_the_visibility_timeout(
    client: Any, start: Any, redis_server: Any
) -> None:
    send(redis_server.url, "a")
    holder, other = start(), start(visibility_timeout=1)
    tag = holder.take().delivery_tag
    client.zadd("unacked_index", {tag: 1})
    real = other.channel.conn_or_acquire

    def renewed_meanwhile(*arguments: Any) -> Any:
        client.zadd("unacked_index", {tag: 2})
        return real(*arguments)

    other.channel.conn_or_acquire = renewed_meanwhile
    other.channel._take_over(tag, b"1")
    assert client.hkeys("unacked") == [tag]
    assert client.llen("products") == 0


def test_while_redis_was_away_nobody_could_give_a_sign_of_life(
    client: Any, start: Any, redis_server: Any
) -> None:
    send(redis_server.url, "a")
    tag = start().take().delivery_tag
    client.zadd("unacked_index", {tag: 1})
    redis_server.kill()
    redis_server.start()
    assert start(visibility_timeout=3600).take() is None
    assert client.hkeys("unacked") == [tag]


def test_two_messages_with_one_tag_are_in_hand_one_after_the_other(client: Any, start: Any) -> None:
    for body in ('["first"]', '["second"]'):
        client.lpush("products", envelope("same", body))
    worker = start()
    first = worker.take()
    assert first.payload == ["first"]
    assert worker.take() is None
    first.ack()
    second = worker.take()
    assert second.payload == ["second"]
    second.ack()
    assert client.exists(*BOOKS, "products") == 0


def test_bytes_in_hand_and_of_one_message_are_bounded(
    client: Any, start: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "MESSAGE_AT_MOST_BYTES", 2000)
    monkeypatch.setattr(module, "IN_HAND_AT_MOST_BYTES", 3000)
    sizes = [100, 2500, 1900, 1800, 50]
    for n, size in enumerate(sizes):
        client.lpush("products", envelope(str(n), json.dumps("x" * (size - 200))))
    worker = start()
    taken = [worker.take() for _ in range(3)]
    assert [message.delivery_tag for message in taken] == ["0", "2", "3"]
    assert worker.take() is None
    taken[1].ack()
    assert worker.take().delivery_tag == "4"
    (letter,) = letters(client)
    assert letter["reason"] == "MessageTooLarge"


def test_nothing_is_claimed_while_it_may_not(client: Any, start: Any, redis_server: Any) -> None:
    answers = [False]
    send(redis_server.url, "a")
    worker = start(may_consume=lambda: answers[-1])
    assert worker.take() is None
    assert client.llen("products") == 1
    answers.append(True)
    assert worker.take().payload == "a"


def test_a_priority_is_no_other_queue(start: Any, redis_server: Any) -> None:
    with Connection(redis_server.url) as connection:
        for priority in (9, 5, 0):
            producer = connection.Producer(serializer="json")
            producer.publish(priority, exchange="", routing_key="products", priority=priority)
    worker = start()
    assert [worker.take().payload for _ in range(3)] == [0, 5, 9]


def test_basic_get_claims(client: Any, start: Any, redis_server: Any) -> None:
    client.lpush("other", b"garbage")
    send(redis_server.url, "a", "other")
    channel = start().connection.channel()
    message = channel.basic_get("other")
    assert message.payload == "a"
    assert client.hkeys("unacked") == [message.delivery_tag]
    message.ack()
    assert channel.basic_get("other") is None
    assert len(letters(client)) == 1
    assert client.exists(*BOOKS) == 0


@pytest.mark.parametrize("ends", ["before", "after"])
def test_what_is_in_hand_when_redis_ends_is_neither_lost_nor_run_twice(
    client: Any, start: Any, redis_server: Any, ends: str
) -> None:
    for n in range(3):
        send(redis_server.url, n)
    in_hand = InHand()
    worker = start(in_hand=in_hand)
    running, finished, waiting = (worker.take() for _ in range(3))
    worker.begin(running)
    worker.begin(finished)
    redis_server.kill()
    finished.ack()
    if ends == "before":
        worker.connection.close()
    redis_server.start()
    if ends == "after":
        with pytest.raises((redis.ConnectionError, OSError)):
            worker.connection.drain_events(timeout=1)
        worker.connection.collect(socket_timeout=1)
    again = start(in_hand=in_hand)
    redelivered = again.take()
    assert redelivered.payload == waiting.payload  # celery has dropped it
    assert again.take() is None
    assert client.hgetall("deliveries") == {running.delivery_tag: "1"}
    redelivered.ack()
    running.ack()
    assert client.exists(*BOOKS, "products") == 0


def test_a_refused_command_loses_nothing(client: Any, start: Any, redis_server: Any) -> None:
    send(redis_server.url, "a")
    client.set("unacked", "not a hash")
    worker = start()
    with pytest.raises(redis.ResponseError):
        worker.take()
    assert client.llen("products") == 1
    client.delete("unacked")
    assert start().take().payload == "a"


def test_every_key_carries_the_global_prefix(client: Any, start: Any, redis_server: Any) -> None:
    send(redis_server.url, "a", transport=Transport, global_keyprefix="shop:")
    worker = start(global_keyprefix="shop:")
    message = worker.take()
    assert message.payload == "a"
    assert all(key.startswith("shop:") for key in client.scan_iter("*"))
    assert client.hlen("shop:unacked") == 1
    message.reject(requeue=True)
    assert client.llen("shop:products") == 1
    message = worker.take()
    client.zadd("shop:unacked_index", {message.delivery_tag: 1})
    worker.die()
    successor = start(global_keyprefix="shop:", visibility_timeout=1)
    message = successor.take(within_s=10)
    message.ack()
    assert client.exists("shop:unacked", "shop:unacked_index", "shop:deliveries", "shop:products") == 0
