"""What is published, in as many messages as it takes, on a real Redis."""

import base64
import json
from collections.abc import Iterator
from typing import Any

import pytest
import redis
from celery import Celery

from worker import publish as module
from worker.publish import ATTEMPTS, Message, batches, event_message, publish
from worker.transport import MESSAGE_AT_MOST_BYTES

MIB = 2**20


@pytest.fixture
def app(redis_server: Any) -> Iterator[Celery]:
    with Celery("publisher", broker=redis_server.url, set_as_current=False) as opened:
        opened.conf.task_ignore_result = True
        yield opened


@pytest.fixture
def client(redis_server: Any) -> Iterator[Any]:
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as opened:
        yield opened


def queued(client: Any) -> list[tuple[int, dict[str, Any], list[Any]]]:
    """Size, headers and arguments of every message, oldest first."""
    found = []
    for raw in reversed(client.lrange("products", 0, -1)):
        message = json.loads(raw)
        args, _, _ = json.loads(base64.b64decode(message["body"]))
        found.append((len(raw), message["headers"], args))
    return found


def document(identity: str, size: int, letter: str = "x") -> dict[str, Any]:
    return {"id": identity, "title": letter * size}


def test_documents_that_are_too_many_bytes_for_one_message_are_several(app: Celery, client: Any) -> None:
    documents = [document(str(n), MIB, "é") for n in range(5)]  # 6 MiB each, as JSON without a letter like it
    message = Message("products.upsert", [documents], queue="products", headers={ATTEMPTS: 3}, id="one")
    assert publish(app, message) == 5
    messages = queued(client)
    assert [args for *_, args in messages] == [[[one]] for one in documents]
    assert all(size < MESSAGE_AT_MOST_BYTES for size, *_ in messages)
    assert [headers[ATTEMPTS] for _, headers, _ in messages] == [3] * 5
    assert len({headers["id"] for _, headers, _ in messages}) == 5


def test_a_full_batch_fits_the_transport(app: Celery, client: Any) -> None:
    documents = [document(str(n), 2 * MIB) for n in range(4)]
    documents[3] = document("3", 2 * MIB - 1000)
    assert publish(app, event_message("products.upsert", documents, "products")) == 1
    ((size, _, _),) = queued(client)
    assert 10 * MIB < size < MESSAGE_AT_MOST_BYTES


def test_a_document_that_fits_no_message_goes_alone(app: Celery, client: Any) -> None:
    good, huge = document("good", 10), document("huge", 13 * MIB)
    assert publish(app, event_message("products.upsert", [good, huge, good], "products")) == 3
    messages = queued(client)
    assert [args[0][0]["id"] for *_, args in messages] == ["good", "huge", "good"]
    assert [size > MESSAGE_AT_MOST_BYTES for size, *_ in messages] == [False, True, False]


@pytest.mark.parametrize("args", [[], [[]], [[{"id": "a"}]], ["text"], [[{"id": "a"}, {"id": "b"}], 1]])
def test_anything_else_is_one_message_with_its_id(app: Celery, client: Any, args: list[Any]) -> None:
    assert publish(app, Message("products.upsert", args, queue="products", id="one")) == 1
    ((_, headers, found),) = queued(client)
    assert (headers["id"], found) == ("one", args)


def test_batches_are_cut_by_bytes_and_by_count(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BATCH_BYTES", 10)
    sizes = [4, 6, 1, 20, 1, 1, 1, 1]
    assert list(batches(sizes, int, at_most=3)) == [(4, 6), (1,), (20,), (1, 1, 1), (1,)]
    assert list(batches([], int)) == []


def test_a_batch_that_is_full_waits_for_no_other_item() -> None:
    items = iter("abc")
    assert next(batches(items, len, at_most=2)) == ("a", "b")
    assert next(items) == "c"
