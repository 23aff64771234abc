"""A process follows swap and alias; a question is of one pair; the old pair goes when nobody uses it."""

from concurrent.futures import ThreadPoolExecutor
from threading import Event
from typing import Any

import pytest

from recommender import swap_state
from recommender.catalog import Filter
from recommender.encoders.recipe import Recipe
from recommender.errors import EncoderMismatch, PairMissing, ShuttingDown
from recommender.question import Question
from recommender.swap_state import SwapBook
from tests.integration.serving.conftest import (
    ENCODERS,
    NEW,
    OLD,
    CoarseEncoder,
    Processes,
    swap_to,
    wait_until,
)
from tests.shop import draw, fill, served

SEED = "round-red-0"


def reports(book: SwapBook) -> list[Any]:
    return list(book.processes().values())


def test_flips_under_questions_fail_none_and_every_answer_is_of_one_pair(processes: Processes) -> None:
    resources = processes.open()
    fill(processes.shop(resources))
    assert processes.fill_other(resources, "coarse") == NEW
    photo = draw("tall", "blue")
    questions: list[dict[str, Any]] = [
        {"method": "GET", "url": f"/v1/products/{SEED}/similar", "params": {"limit": 5, "diversity": 0.4}},
        {"method": "GET", "url": f"/v1/products/{SEED}/similar", "params": {"limit": 5, "offset": 4}},
        {"method": "POST", "url": "/v1/similar/image", "files": {"file": photo}, "data": {"limit": 4}},
        {
            "method": "POST",
            "url": "/v1/similar/batch",
            "json": {"questions": [{"positive": [SEED], "negative": ["tall-gold-0"]}, {"positive": ["x"]}]},
        },
        {"method": "GET", "url": "/v1/embeddings", "params": {"limit": 7}},
    ]
    with served(processes.shop(resources)) as api:

        def answer(number: int) -> tuple[str, Any]:
            response = api.request(**questions[number])
            assert response.status_code == 200, response.text
            said = response.json()
            for part in (said, *said.get("answers", ())):
                part.pop("took_ms", None)
            return said["encoder"], said

        def flip(to: str) -> list[tuple[str, Any]]:
            resources.engine.promote(to)
            wait_until("it serves", lambda: resources.serving.current.fingerprint == to)
            return [answer(number) for number in range(len(questions))]

        right = {to: flip(to) for to in (NEW, OLD)}
        assert all(said == to for to, answers in right.items() for said, _ in answers)
        assert right[OLD] != right[NEW]
        stopping = Event()

        def ask() -> set[str]:
            seen = set()
            while not stopping.is_set():
                for number in range(len(questions)):
                    encoder, said = answer(number)
                    assert said == right[encoder][number][1]
                    seen.add(encoder)
            return seen

        with ThreadPoolExecutor(4) as threads:
            asking = [threads.submit(ask) for _ in range(4)]
            for to in (NEW, OLD) * 4:
                assert flip(to) == right[to]
            stopping.set()
            assert set.union(*(one.result() for one in asking)) == {OLD, NEW}
    assert resources.follower is not None
    assert resources.follower.is_alive


def test_an_answer_that_a_client_has_from_the_other_pair_is_sent_anew(processes: Processes) -> None:
    resources = processes.open()
    fill(processes.shop(resources))
    processes.fill_other(resources, "coarse")
    paths = (
        f"/v1/products/{SEED}/similar",
        f"/v1/products/{SEED}?vectors=true",
        "/v1/embeddings",
        "/v1/catalog",
    )
    with served(processes.shop(resources)) as api:
        tags = {path: api.get(path).headers["ETag"] for path in paths}
        for path, tag in tags.items():
            assert api.get(path, headers={"If-None-Match": tag}).status_code == 304
        resources.engine.promote(NEW)
        wait_until("it serves", lambda: resources.serving.current.fingerprint == NEW)
        for path, tag in tags.items():
            answer = api.get(path, headers={"If-None-Match": tag})
            assert (answer.status_code, answer.headers["ETag"] == tag) == (200, False)


def test_a_restart_follows_the_alias_with_an_unchanged_environment(processes: Processes) -> None:
    first = processes.open(following=None)
    fill(processes.shop(first))
    processes.fill_other(first, "coarse")
    first.engine.promote(NEW)
    first.close()
    again = processes.open(following=None)
    assert (again.encoder.fingerprint, again.index.fingerprint) == (NEW, NEW)
    assert again.recommender.similar(Question(positive=(SEED,))).encoder == NEW
    assert again.index.count(Filter()) == 24


def test_a_recipe_that_gives_another_encoder_refuses_to_start(
    processes: Processes, monkeypatch: pytest.MonkeyPatch
) -> None:
    first = processes.open(following=None)
    first.engine.create(NEW, 48, Recipe("coarse"))
    first.engine.promote(NEW)
    first.close()
    monkeypatch.setattr(CoarseEncoder, "fingerprint", "coarse-222222222222")
    with pytest.raises(EncoderMismatch, match=r"coarse-222222222222.*coarse-111111111111"):
        processes.open(following=None)


def test_a_swap_is_opened_reported_served_and_closed(processes: Processes, book: SwapBook) -> None:
    resources = processes.open(following="worker")
    (report,) = reports(book)
    assert (report.kind, report.pairs, report.serving, report.swap) == ("worker", (OLD,), OLD, None)

    resources.engine.create(NEW, 48, Recipe("coarse"))
    swap = swap_to("coarse", phase="preparing")
    assert book.begin(swap)
    assert not book.begin(swap_to("coarse", phase="preparing"))
    wait_until("both are open", lambda: reports(book)[0].pairs == (OLD, NEW))
    assert (reports(book)[0].swap, reports(book)[0].serving) == (swap.id, OLD)
    old, new = resources.serving.pairs()

    resources.engine.promote(NEW)
    wait_until("the new one serves", lambda: reports(book)[0].serving == NEW)
    assert resources.serving.pairs() == (new, old)
    resources.engine.promote(OLD)
    wait_until("the old one serves again", lambda: reports(book)[0].serving == OLD)
    assert resources.serving.pairs() == (old, new)
    resources.engine.promote(NEW)
    wait_until("the new one serves", lambda: reports(book)[0].serving == NEW)

    with resources.serving.lease_all() as rounds:
        assert list(rounds) == [(new, old)]
        assert not book.end("another")
        assert book.end(swap.id)
        wait_until("the swap has ended", lambda: reports(book)[0].swap is None)
        wait_until("nobody is given the old one", lambda: resources.serving.pairs() == (new,))
        assert reports(book)[0].pairs == (NEW, OLD)
        old.index.ping()
        assert old.batcher.is_alive
    wait_until("the old one is closed", lambda: reports(book)[0].pairs == (NEW,))
    assert not old.batcher.is_alive
    with pytest.raises(ShuttingDown):
        old.index.ping()
    resources.engine.drop(OLD)
    resources.close()
    assert reports(book) == []


def test_a_message_goes_to_the_pair_that_was_opened_while_it_was_in_hand(
    processes: Processes, book: SwapBook
) -> None:
    resources = processes.open(following="worker")
    resources.engine.create(NEW, 48, Recipe("coarse"))
    with resources.serving.lease_all() as rounds:
        assert [pair.fingerprint for pair in next(rounds)] == [OLD]
        book.begin(swap_to("coarse", phase="preparing"))
        wait_until("both are open", lambda: len(resources.serving.pairs()) == 2)
        assert [pair.fingerprint for pair in next(rounds)] == [NEW]
        assert list(rounds) == []


def test_a_process_that_starts_during_a_swap_has_both_before_its_first_message(
    processes: Processes, book: SwapBook
) -> None:
    first = processes.open(following=None)
    first.engine.create(NEW, 48, Recipe("coarse"))
    first.close()
    book.begin(swap_to("coarse", phase="catching-up"))
    with processes.open(following="worker").serving.lease_all() as rounds:
        assert [[pair.fingerprint for pair in pairs] for pairs in rounds] == [[OLD, NEW]]


def test_an_encoder_that_can_not_be_loaded_leaves_the_old_one_serving_and_says_why(
    processes: Processes, book: SwapBook, caplog: pytest.LogCaptureFixture
) -> None:
    resources = processes.open(following="worker")
    fill(processes.shop(resources))
    resources.engine.create("broken-222222222222", 48, Recipe("broken"))
    swap = swap_to("broken", "broken-222222222222", phase="preparing")
    book.begin(swap)
    error = wait_until("it says so", lambda: reports(book)[0].error)
    assert error == "broken-222222222222: the weights of broken can't be read"
    assert "pair_not_opened" in caplog.text
    resources.engine.promote("broken-222222222222")
    with resources.serving.lease() as pair, resources.serving.lease_all() as rounds:
        assert pair.recommender.similar(Question(positive=(SEED,))).encoder == OLD
        assert [pairs[0] for pairs in rounds] == [pair]
    assert (reports(book)[0].pairs, reports(book)[0].serving) == ((OLD,), OLD)

    assert book.advance(swap, "backfilling")

    def refused() -> bool:
        try:
            with resources.serving.lease_all() as rounds:
                list(rounds)
        except PairMissing as missing:
            return "can't be read" in str(missing)
        return False

    wait_until("no message leaves it out", refused)
    resources.engine.promote(OLD)
    book.end(swap.id)
    wait_until("messages go on", lambda: not refused())


def test_a_dropped_collection_is_let_go_of(processes: Processes, book: SwapBook) -> None:
    resources = processes.open(following="worker")
    resources.engine.create(NEW, 48, Recipe("coarse"))
    book.begin(swap_to("coarse", phase="judging"))
    wait_until("both are open", lambda: len(resources.serving.pairs()) == 2)
    resources.engine.drop(NEW)
    wait_until("it is let go of", lambda: reports(book)[0].pairs == (OLD,))
    with resources.serving.lease_all() as rounds:
        assert [[pair.fingerprint for pair in pairs] for pairs in rounds] == [[OLD]]


def test_while_redis_is_away_the_alias_is_followed_and_reports_come_again(
    processes: Processes, book: SwapBook, redis_server: Any, client: Any, caplog: pytest.LogCaptureFixture
) -> None:
    resources = processes.open()
    resources.engine.create(NEW, 48, Recipe("coarse"))
    redis_server.kill()
    resources.engine.promote(NEW)
    wait_until("the new one serves", lambda: resources.serving.current.fingerprint == NEW)
    redis_server.start()
    client.connection_pool.reset()
    client.flushall()
    wait_until("it reports again", lambda: [r.serving for r in reports(book)] == [NEW])
    assert caplog.text.count("not_followed") == 1
    assert "following_failed" not in caplog.text


def test_without_a_redis_the_alias_is_followed(processes: Processes, make_settings: Any) -> None:
    resources = processes.open(redis=make_settings().redis)
    old = resources.serving.current
    resources.engine.create(NEW, 48, Recipe("coarse"))
    resources.engine.promote(NEW)
    wait_until("the new one serves", lambda: resources.serving.current.fingerprint == NEW)
    wait_until("the old one is closed", lambda: not old.batcher.is_alive)


def test_who_is_silent_is_forgotten(
    processes: Processes, book: SwapBook, client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    resources = processes.open()
    assert len(reports(book)) == 1
    resources.close()
    assert reports(book) == []
    lost = SwapBook(client, processes.settings.catalog)
    lost.report(swap_state.ProcessReport("api", (OLD,), OLD, None))
    assert list(book.processes()) == [lost.own_name]
    monkeypatch.setattr(swap_state, "FORGOTTEN_S", -1)
    assert reports(book) == []
    monkeypatch.undo()
    assert client.hlen(f"{processes.settings.catalog}:processes") == 0


def test_a_collection_without_a_recipe_is_opened_with_the_encoder_of_the_settings(
    processes: Processes,
) -> None:
    first = processes.open(following=None)
    first.engine.create(NEW, 48)
    with pytest.raises(EncoderMismatch, match=f"for the collection of {NEW} this machine loads {OLD}"):
        first.opener.open(NEW)
    first.close()
    settings = processes.settings.encoder.model_copy(update={"name": "coarse"})
    resources = processes.open(following=None, encoder=settings)
    assert resources.encoder.fingerprint == OLD
    pair = resources.opener.open(NEW)
    assert pair.fingerprint == NEW
    pair.close()


def test_what_is_loaded_by_a_recipe_is_what_its_name_says(processes: Processes) -> None:
    resources = processes.open(following=None)
    for name, encoder in ENCODERS.items():
        assert resources.opener.load(Recipe(name)).fingerprint == encoder.fingerprint
