"""The stream of dead letters on a real Redis: one letter a cause, and bookkeeping that loses none."""

import logging
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Any

import pytest
from celery import Celery

from config.settings import RedisSettings
from recommender import metrics
from recommender.errors import BrokerUnavailable, ImageNotFound
from worker.broker import open_redis
from worker.jobs import dead_letters
from worker.jobs.dead_letters import DeadLetter, DeadLetters
from worker.stream import StreamConsumer

STREAM = "lookalike:dead-letters"
CAUSES = f"{STREAM}:causes"
SEEN = "2026-01-01T00:00:00.000+00:00"
LATER = "2026-01-02T00:00:00.000+00:00"


@pytest.fixture
def client(redis_server: Any) -> Iterator[Any]:
    with open_redis(RedisSettings(url=redis_server.url)) as opened:
        yield opened


@pytest.fixture
def kept(client: Any) -> DeadLetters:
    return DeadLetters(client, "lookalike")


def letter(identity: str, **known: Any) -> DeadLetter:
    uri = f"s3://shop/{identity}.jpg"
    document = {"id": identity, "version": 1, "images": [uri]}
    return DeadLetter.of("products.upsert", document, ImageNotFound(uri, "404"), image=uri, **known)


def add(kept: DeadLetters, letter: DeadLetter) -> str:
    """Returns the entry, which is the last one."""
    kept.add([letter])
    return list(kept.all())[-1].id


def check_causes(client: Any) -> None:
    """Every cause leads to the entry that has it, and no letter has a cause that leads elsewhere."""
    entries = dict(client.xrange(STREAM))
    assert client.hgetall(CAUSES) == {
        fields["cause"]: entry for entry, fields in entries.items() if "cause" in fields
    }


def test_what_fails_again_for_the_same_cause_is_one_letter_at_the_end(client: Any, kept: DeadLetters) -> None:
    kept.add([letter("a", attempts=2, first_seen=SEEN, last_seen=SEEN), letter("b")])
    first, _ = kept.all()
    kept.add([replace(letter("a", attempts=3, first_seen=LATER, last_seen=LATER), trace_id="t")])
    other, again = kept.all()
    assert [other.products, again.products] == [("b",), ("a",)]
    assert (again.attempts, again.first_seen, again.last_seen) == (5, SEEN, LATER)
    assert (again.trace_id, again.document) == ("t", first.document)
    assert again.id > first.id
    assert kept.get(first.id) is None
    check_causes(client)


def test_what_was_replayed_before_its_letter_was_removed_has_counted_on(kept: DeadLetters) -> None:
    kept.add([letter("a", attempts=4, first_seen=SEEN)])
    kept.add([letter("a", attempts=5, first_seen=SEEN)])
    (again,) = kept.all()
    assert (again.attempts, again.first_seen) == (5, SEEN)


def test_one_call_with_the_same_cause_twice_is_one_letter(client: Any, kept: DeadLetters) -> None:
    kept.add([letter("a"), letter("b"), letter("a", first_seen=SEEN)])
    assert [(one.products, one.attempts) for one in kept.all()] == [(("b",), 1), (("a",), 2)]
    check_causes(client)


def test_writers_at_once_lose_no_letter_and_no_attempt(redis_server: Any, client: Any) -> None:
    writers, rounds, causes = 8, 40, 5

    def write(number: int) -> None:
        with open_redis(RedisSettings(url=redis_server.url)) as own:
            kept = DeadLetters(own, "lookalike")
            for n in range(rounds):
                kept.add([letter(str(n % causes), first_seen=f"2026-01-{number + 1:02}T00:00:{n:02}+00:00")])

    with ThreadPoolExecutor(writers) as pool:
        list(pool.map(write, range(writers)))
    letters = list(DeadLetters(client, "lookalike").all())
    assert sorted(one.products for one in letters) == [(str(n),) for n in range(causes)]
    assert {one.attempts for one in letters} == {writers * rounds // causes}
    check_causes(client)


def test_a_drop_removes_what_was_read_and_never_what_came_after_it(redis_server: Any, client: Any) -> None:
    kept = DeadLetters(client, "lookalike")
    writers, rounds, dropped = 4, 60, 0

    def write(number: int) -> None:
        with open_redis(RedisSettings(url=redis_server.url)) as own:
            mine = DeadLetters(own, "lookalike")
            for n in range(rounds):
                mine.add([letter(str(n % 3), first_seen=f"2026-01-{number + 1:02}T00:00:{n:02}+00:00")])

    with ThreadPoolExecutor(writers) as pool:
        writing = [pool.submit(write, n) for n in range(writers)]
        while not all(future.done() for future in writing):
            dropped += sum(one.attempts for one in kept.all() if kept.drop([one.id]))
    for future in writing:
        future.result()
    assert dropped + sum(one.attempts for one in kept.all()) == writers * rounds
    check_causes(client)


def test_removed_by_others_it_arrives_as_a_new_letter(client: Any, kept: DeadLetters) -> None:
    entry = add(kept, letter("a", attempts=7))
    client.xdel(STREAM, entry)
    kept.add([letter("a")])
    (again,) = kept.all()
    assert again.attempts == 1
    check_causes(client)
    client.delete(STREAM)
    kept.add([letter("a")])
    assert kept.count() == 1
    check_causes(client)


def test_a_cause_never_costs_a_letter_that_is_not_its_own(client: Any, kept: DeadLetters) -> None:
    """As after a stream that was restored from elsewhere."""
    other = add(kept, letter("other"))
    plain = client.xadd(STREAM, {"type": "", "document": "garbage", "reason": "MalformedMessage"})
    for wrong in (other, plain, "1-1", "nonsense-but-2-long"):
        client.hset(CAUSES, letter("a").cause, wrong)
        if wrong.startswith("nonsense"):
            with pytest.raises(BrokerUnavailable):
                kept.add([letter("a")])
            continue
        entry = add(kept, letter("a", attempts=7))
        assert {other, plain, entry} == {one.id for one in kept.all()}
        assert kept.get(entry).attempts == 7  # type: ignore[union-attr]
        assert kept.drop([entry]) == 1


def test_causes_that_were_lost_cost_no_letter(client: Any, kept: DeadLetters) -> None:
    first = add(kept, letter("a"))
    client.delete(CAUSES)
    second = add(kept, letter("a"))
    assert [one.id for one in kept.all()] == [first, second]
    assert kept.drop([first]) == 1
    check_causes(client)
    kept.add([letter("a", first_seen=SEEN)])
    assert [one.attempts for one in kept.all()] == [2]


def test_what_the_transport_wrote_is_kept_replayed_and_dropped_like_any(
    client: Any, kept: DeadLetters
) -> None:
    """Its script appends without a cause."""
    fields = {"type": "", "document": b"\xff\x00garbage", "reason": "MalformedMessage", "message": "no JSON"}
    plain = [client.xadd(STREAM, fields) for _ in range(2)]
    added = add(kept, letter("a"))
    assert [one.id for one in kept.all()] == [*plain, added]
    assert kept.get(plain[0]).document == "\ufffd\x00garbage"  # type: ignore[union-attr]
    check_causes(client)
    assert kept.drop([added]) == 1
    assert client.exists(CAUSES) == 0
    assert kept.drop([*plain, added, "1-1"]) == 2


@pytest.mark.parametrize("seed", range(4))
def test_whatever_happens_each_letter_is_there_once_until_it_is_removed(
    client: Any, kept: DeadLetters, seed: int
) -> None:
    """Random sequences against a model: adds, drops, and removals and entries by others."""
    rng = random.Random(seed)  # noqa: S311
    there: list[str] = []  # product, oldest first; "" for an entry without a cause

    def entries() -> list[str]:
        return [entry for entry, _ in client.xrange(STREAM)]

    for _ in range(200):
        ids, at = entries(), rng.randrange(max(len(there), 1))
        match rng.choice("aaaadxtp"):
            case "a":
                product = str(rng.randrange(12))
                kept.add([letter(product)])
                there = [*(one for one in there if one != product), product]
            case "d" if there:
                assert kept.drop(ids[at : at + 3]) == len(ids[at : at + 3])
                del there[at : at + 3]
            case "x" if there:
                client.xdel(STREAM, ids[at])
                del there[at]
            case "t":
                client.xtrim(STREAM, maxlen=8, approximate=False)
                there = there[-8:]
            case "p":
                client.xadd(STREAM, {"type": "", "document": "x", "reason": "MalformedMessage"})
                there.append("")
        assert ["".join(one.products) for one in kept.all()] == there
    kept.drop(entries())
    assert client.exists(CAUSES) == 0


def test_causes_of_letters_that_others_removed_are_forgotten(client: Any, kept: DeadLetters) -> None:
    kept.add([letter(str(n)) for n in range(100)])
    client.xtrim(STREAM, maxlen=0, approximate=False)
    assert client.hlen(CAUSES) == 100
    kept.add([letter(f"new {n}") for n in range(10)])
    check_causes(client)


def test_without_memory_nothing_changes_and_dropping_still_works(client: Any, kept: DeadLetters) -> None:
    entry = add(kept, letter("a", attempts=3))
    client.config_set("maxmemory", 1)
    with pytest.raises(BrokerUnavailable, match="maxmemory"):
        kept.add([letter("a"), letter("b")])
    (same,) = kept.all()
    assert (same.id, same.attempts) == (entry, 3)
    check_causes(client)
    assert kept.drop([entry]) == 1
    client.config_set("maxmemory", 0)
    kept.add([letter("a"), letter("b")])
    assert kept.count() == 2


def test_what_arrives_during_a_walk_is_not_part_of_it(kept: DeadLetters) -> None:
    kept.add([letter(str(n)) for n in range(dead_letters.PAGE + 3)])
    seen = 0
    for one in kept.all():
        kept.add([one])  # as a replay that fails at once
        seen += 1
    assert seen == dead_letters.PAGE + 3 == kept.count()


@pytest.mark.parametrize("entry", ["", "-", "+", "1", "1-", "x", "1-1-1", "(1-1", "9" * 40 + "-1"])
def test_what_is_no_id_finds_no_letter(kept: DeadLetters, entry: str) -> None:
    kept.add([letter("a")])
    assert kept.get(entry) is None


def test_each_arrival_is_logged_and_counted(client: Any, caplog: Any) -> None:
    counter = metrics.DEAD_LETTERS.labels("ImageNotFound")
    before = counter._value.get()
    with caplog.at_level(logging.WARNING, "worker.jobs.dead_letters"):
        again = replace(letter("a", first_seen=SEEN), trace_id="t")
        DeadLetters(client, "lookalike").add([letter("a"), letter("b"), again])
    told = [record for record in caplog.records if record.message == "dead_letter"]
    assert [record.product for record in told] == ["a", "b", "a"]
    last = told[-1]
    assert (last.levelname, last.type, last.reason) == ("WARNING", "products.upsert", "ImageNotFound")
    assert (last.image, last.trace_id, last.attempts) == ("s3://shop/a.jpg", "t", 2)
    assert last.entry == client.xrevrange(STREAM, count=1)[0][0]
    assert counter._value.get() == before + 3
    assert metrics.DEAD_LETTERS_KEPT._value.get() == 2


def test_from_the_alarm_on_it_is_an_error_at_most_once_a_minute(
    client: Any, caplog: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = [1000.0]
    monkeypatch.setattr(dead_letters, "monotonic", lambda: clock[0])
    monkeypatch.setattr(dead_letters, "_alarm", dead_letters._Alarm())
    kept = DeadLetters(client, "lookalike", alarm=3)

    def alarms(*letters: DeadLetter) -> list[int]:
        caplog.clear()
        kept.add(letters)
        found = [record for record in caplog.records if record.message == "dead_letters_alarm"]
        assert all(record.levelname == "ERROR" for record in found)
        return [record.letters for record in found]

    assert alarms(letter("a"), letter("b")) == []
    assert alarms(letter("c"), letter("d")) == [3]
    clock[0] += 59
    assert alarms(letter("e")) == []
    clock[0] += 1
    assert alarms(letter("e")) == [5]


def test_the_stream_consumer_knows_when_to_sound_the_alarm(redis_server: Any, make_settings: Any) -> None:
    settings = make_settings(redis={"url": redis_server.url}, worker={"dead_letters_alarm": 7})
    consumer = StreamConsumer(Celery("test", set_as_current=False), settings)
    assert consumer._dead_letters._alarm == 7
    consumer._client.close()
