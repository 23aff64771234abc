"""What becomes of a message whose body fails, on a real broker."""

import base64
import json
from collections.abc import Callable, Iterator
from types import SimpleNamespace
from typing import Any
from unittest.mock import Mock

import pytest
import redis
from celery import Celery, current_task
from celery.exceptions import Reject

from config.settings import RedisSettings
from recommender.errors import (
    BrokerUnavailable,
    EncoderLost,
    ImageStoreUnavailable,
    InvalidEvent,
    RaceLost,
    ShuttingDown,
)
from recommender.images.source import ImageSource
from worker.broker import open_redis
from worker.celery import QUARANTINE
from worker.delivery import MAX_DELAY_S, Delivery, deliver
from worker.jobs.dead_letters import PAGE, DeadLetter, DeadLetters
from worker.jobs.refresh import scheduled_refresh_job
from worker.publish import ATTEMPTS, DELIVERIES, FAILURES, FIRST_SEEN

DOCUMENTS = [{"id": "a", "trace_id": "t"}, {"id": "b"}]

CLOSED = "http://127.0.0.1:1"


@pytest.fixture
def client(redis_server: Any) -> Iterator[Any]:
    with open_redis(RedisSettings(url=redis_server.url)) as opened:
        yield opened


@pytest.fixture
def settings(redis_server: Any, make_settings: Any) -> Any:
    return make_settings(redis={"url": redis_server.url}, worker={"max_attempts": 3, "retry_delay_s": 2})


@pytest.fixture
def runtime(settings: Any, client: Any, open_runtime: Any) -> Iterator[Any]:
    with open_runtime(settings, client) as opened:
        yield opened


@pytest.fixture
def run(redis_server: Any, client: Any, runtime: Any) -> Iterator[Any]:
    """Deliver a message to a body, as the pool's thread would."""
    del runtime
    app = Celery("test", broker=redis_server.url, set_as_current=False)

    @app.task(name="products.upsert", bind=True, shared=False)
    def task(self: Any) -> None:
        """Only its request is used."""

    def go(
        body: Callable[[Delivery], None], args: Any = (DOCUMENTS,), identity: str = "1", **headers: Any
    ) -> None:
        client.hset("unacked", f"tag of {identity}", "...")
        task.push_request(
            id=identity,
            delivery_info={"routing_key": "bulk"},
            properties={"delivery_tag": f"tag of {identity}"},
            **headers,
        )
        try:
            deliver(task, args, {}, body)
        finally:
            task.pop_request()

    yield go
    app.close()


def published(client: Any, queue: str = "bulk") -> Any:
    """(documents, headers) of what was published again."""
    found = []
    for raw in reversed(client.lrange(queue, 0, -1)):
        message = json.loads(raw)
        args, kwargs, _ = json.loads(base64.b64decode(message["body"]))
        assert kwargs == {}
        assert (message["headers"]["eta"] is None) == (queue == QUARANTINE)
        found.append((args[0] if args else None, message["headers"]))
    return found


def published_later(client: Any, queue: str) -> Any:
    return [(None, json.loads(raw)["headers"]) for raw in client.lrange(queue, 0, -1)]


def failing(error: BaseException) -> Any:
    def body(_: Any) -> None:
        raise error

    return body


def letters(client: Any) -> Any:
    return list(DeadLetters(client, "lookalike").all())


@pytest.mark.parametrize("error", [MemoryError(), SystemExit(3), KeyboardInterrupt()])
def test_what_would_have_ended_its_process_is_isolated_document_by_document(
    run: Any, client: Any, error: BaseException
) -> None:
    run(failing(error))
    again = published(client, QUARANTINE)
    assert [documents for documents, _ in again] == [[DOCUMENTS[0]], [DOCUMENTS[1]]]
    assert all(headers[DELIVERIES] == 1 for _, headers in again)
    assert letters(client) == published(client) == []


def test_what_ends_its_process_at_every_delivery_is_a_dead_letter_at_the_last(run: Any, client: Any) -> None:
    for before in range(1, 6):
        run(failing(MemoryError("no room")), ([DOCUMENTS[0]],), str(before), **{DELIVERIES: before - 1})
    assert [headers[DELIVERIES] for _, headers in published(client, QUARANTINE)] == [1, 2, 3, 4]
    (letter,) = letters(client)
    assert (letter.reason, letter.attempts) == ("MemoryError", 5)


def test_a_delivery_counts_when_its_body_begins_and_the_second_reads_images_alone(
    run: Any, client: Any
) -> None:
    seen: list[Any] = []

    def body(delivery: Delivery) -> None:
        seen.append((delivery.deliveries, delivery.image_stage(Mock()) is None))
        assert client.hget("deliveries", "tag of 1") == str(len(seen))

    run(body)  # nobody acknowledges it here: as if its worker had ended
    run(body)
    run(body, identity="2", **{DELIVERIES: 3})
    assert seen == [(1, True), (2, False), (4, False)]


def test_what_was_given_back_before_its_body_began_is_left_alone(run: Any, client: Any) -> None:
    def body(_: Delivery) -> None:
        raise AssertionError("somebody else has it")

    def gone(delivery: Delivery) -> None:
        client.hdel("unacked", delivery.tag)
        with pytest.raises(Reject) as raised:
            deliver(delivery_task(), ([],), {}, body)
        assert raised.value.requeue

    def delivery_task() -> Any:
        return current_task._get_current_object()

    run(gone)
    assert client.hgetall("deliveries") == {"tag of 1": "1"}


def test_a_failure_that_came_to_an_end_is_no_death_and_stays_in_quarantine(run: Any, client: Any) -> None:
    run(failing(RaceLost("a")), **{DELIVERIES: 2})
    ((_, headers),) = published_later(client, QUARANTINE)
    assert headers[DELIVERIES] == 2
    run(lambda delivery: delivery.leave([[DOCUMENTS[1]]]), identity="2")
    assert published_later(client, "bulk")[0][1][DELIVERIES] == 0


def test_the_time_for_one_step_is_limited_and_ends_with_a_shutdown(
    run: Any, runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    answers: list[bool] = []

    def body(delivery: Delivery) -> None:
        delivery.watch.progress_at = 0
        answers.append(delivery.may_go_on())
        assert delivery.watch.progress_at > 0

    run(body)
    monkeypatch.setattr("worker.delivery.STEP_S", -1)
    run(body, identity="2")
    monkeypatch.setattr("worker.delivery.STEP_S", 3600)
    runtime.watchdog.shut_down()
    run(body, identity="3")
    assert answers == [True, False, False]


def test_a_lost_encoder_ends_the_process_without_an_acknowledgement(
    run: Any, client: Any, runtime: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    class Ended(BaseException):
        """Stands in for the end of this very process."""

    def end(code: int) -> None:
        raise Ended(code)

    monkeypatch.setattr(runtime.watchdog, "_end", end)
    with pytest.raises(Ended):
        run(failing(EncoderLost("illegal address")))
    assert client.hget("deliveries", "tag of 1") == "1"
    assert letters(client) == published(client) == published(client, QUARANTINE) == []


def test_what_fails_for_no_known_reason_is_tried_again_document_by_document(run: Any, client: Any) -> None:
    run(failing(ValueError("odd")))
    again = published(client)
    assert [documents for documents, _ in again] == [[DOCUMENTS[0]], [DOCUMENTS[1]]]
    assert all((headers[ATTEMPTS], headers[FAILURES]) == (1, 1) for _, headers in again)
    assert len({"1", *(headers["id"] for _, headers in again)}) == 3
    assert letters(client) == []


def test_after_enough_failures_it_is_a_dead_letter(run: Any, client: Any) -> None:
    headers = {ATTEMPTS: 7, FAILURES: 2, FIRST_SEEN: "2026-01-01T00:00:00+00:00"}
    run(failing(ValueError("odd")), ([DOCUMENTS[0]],), **headers)
    assert published(client) == []
    (letter,) = letters(client)
    assert json.loads(letter.document) == DOCUMENTS[0]
    assert (letter.type, letter.reason, letter.message) == ("products.upsert", "ValueError", "odd")
    assert (letter.attempts, letter.first_seen, letter.trace_id) == (8, headers[FIRST_SEEN], "t")
    assert letter.last_seen > letter.first_seen


def test_an_outage_is_waited_out_and_burns_no_attempt(run: Any, client: Any) -> None:
    run(failing(ImageStoreUnavailable("down")), **{ATTEMPTS: 1000, FAILURES: 2})
    ((documents, headers),) = published(client)
    assert documents == DOCUMENTS
    assert (headers[ATTEMPTS], headers[FAILURES]) == (1001, 2)
    assert headers["id"] == "1"
    assert letters(client) == []
    assert MAX_DELAY_S <= 30


def test_a_scheduled_refresh_that_failed_has_its_slot_when_it_comes_again(
    run: Any, client: Any, make_settings: Any, redis_server: Any, open_runtime: Any
) -> None:
    uri = "s3://shop/feed.jsonl"
    scheduled = {"allowed": ("s3://shop/",), "scheduled": uri, "every_s": 2592000}
    settings = make_settings(
        redis={"url": redis_server.url}, feed=scheduled, s3={"endpoint_url": CLOSED, "buckets": ("shop",)}
    )
    source = ImageSource(settings.s3, settings.images)
    with open_runtime(settings, client, resources=SimpleNamespace(source=source)):
        run(scheduled_refresh_job, ())
        ((_, headers),) = published(client)
        client.delete("bulk", "deliveries")  # as its acknowledgement would
        run(scheduled_refresh_job, (), identity=headers["id"])
        assert len(published(client)) == 1  # tried again, not skipped
    source.close()


def test_what_is_wrong_is_a_dead_letter_at_once(run: Any, client: Any) -> None:
    run(failing(InvalidEvent("", "no list")), ({"not": "a list"},))
    run(failing(InvalidEvent("", "bad")))
    found = letters(client)
    assert [letter.reason for letter in found] == ["InvalidEvent"] * 3
    assert json.loads(found[0].document) == [{"not": "a list"}, {}]
    assert [json.loads(letter.document)["id"] for letter in found[1:]] == ["a", "b"]


@pytest.mark.parametrize("error", [BrokerUnavailable("down"), ShuttingDown("closing")])
def test_what_can_not_be_written_down_goes_back_to_its_queue(
    run: Any, client: Any, error: BaseException
) -> None:
    with pytest.raises(Reject) as raised:
        run(failing(error))
    assert raised.value.requeue
    assert published(client) == []
    assert letters(client) == []


def test_a_message_is_given_back_when_the_broker_refuses_its_dead_letter(run: Any, client: Any) -> None:
    client.set("lookalike:dead-letters", "no stream")
    with pytest.raises(Reject) as raised:
        run(failing(InvalidEvent("", "bad")))
    assert raised.value.requeue


def test_odd_headers_are_taken_for_missing_ones(run: Any, client: Any) -> None:
    run(failing(ValueError()), ([DOCUMENTS[0]],), **{ATTEMPTS: "many", FAILURES: -5, FIRST_SEEN: 3})
    ((_, headers),) = published(client)
    assert (headers[ATTEMPTS], headers[FAILURES]) == (1, 1)


def test_dead_letters_are_kept_in_order_and_dropped_one_by_one(client: Any) -> None:
    kept = DeadLetters(client, "lookalike")
    made = [DeadLetter.of("products.upsert", {"id": str(n)}, InvalidEvent("f", "r")) for n in range(PAGE + 3)]
    kept.add(made)
    found = list(kept.all())
    assert [letter.document for letter in found] == [letter.document for letter in made]
    assert kept.get(found[5].id) == found[5]
    assert kept.drop([found[5].id]) == 1
    assert kept.get(found[5].id) is None
    assert kept.count() == PAGE + 2


def test_a_client_of_a_redis_that_is_away_says_so(client: Any, redis_server: Any) -> None:
    redis_server.kill()
    with pytest.raises(BrokerUnavailable) as raised:
        DeadLetters(client, "lookalike").count()
    assert isinstance(raised.value.__cause__, redis.RedisError)
