"""A whole swap on both engines: events meanwhile, kills at every step, refusal, rollback, cancel and drop."""

from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest

from recommender.catalog import Filter
from recommender.encoders.preprocess import input_of
from recommender.encoders.registry import REGISTRY
from recommender.errors import IndexUnavailable, WeightsUnavailable
from recommender.question import Question
from recommender.serving import Pair
from recommender.swap_state import SwapBook
from tests.conftest import ObjectStore
from tests.integration.serving.conftest import ENCODERS, NEW, OLD, Processes, wait_until
from tests.integration.serving.crew import Crew, Traffic, crew_of
from tests.pixels import PixelEncoder
from tests.shop import draw
from worker.jobs import steps
from worker.swap import backfilling, dropping, phases, rollback

LENIENT = {
    "min_overlap": 0,
    "min_overlap_alone": 0,
    "max_quality_loss": 1,
    "max_slowdown": 1000,
    "min_recall": 0,
    "max_photo_ms": 600_000,
}
PHASES = ("preparing", "backfilling", "catching-up", "judging", "flipping", "flipped")
SWAP = {"encoder": "coarse"}
PICTURES = [draw(shape, colour) for shape in ("round", "square", "tall") for colour in ("red", "blue")]


@pytest.fixture(autouse=True)
def _quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """One part a step, small pages, short waits; the stand-ins are in the registry."""
    for name, encoder in ENCODERS.items():
        monkeypatch.setitem(REGISTRY, name, encoder.spec)
    monkeypatch.setattr(steps, "JOB_STEP_S", 0)
    for module in (backfilling, phases, dropping, rollback):
        monkeypatch.setattr(module, "LOOK_S", 0.01)
    monkeypatch.setattr(backfilling, "AGAIN_S", 0.01)
    monkeypatch.setattr(backfilling, "PAGE", 5)
    monkeypatch.setattr(backfilling, "MESSAGE_PRODUCTS", 2)


@pytest.fixture
def uris(s3: ObjectStore) -> list[str]:
    return [s3.put(f"{number}.jpg", picture) for number, picture in enumerate(PICTURES)]


@pytest.fixture
def traffic(uris: list[str]) -> Traffic:
    return Traffic(uris)


@pytest.fixture
def crew(processes: Processes, client: Any, request: pytest.FixtureRequest) -> Iterator[Crew]:
    """A worker whose gate is lenient, unless the test says otherwise."""
    gate = getattr(request, "param", LENIENT)
    settings = processes.settings
    processes.settings = settings.model_copy(update={"gate": settings.gate.model_copy(update=gate)})
    with crew_of(processes.settings, client, processes.open(following="worker")) as opened:
        yield opened


def publish(crew: Crew, events: list[tuple[str, dict[str, Any]]]) -> None:
    for kind, document in events:
        crew.send(kind, [document])


def check_pair(pair: Pair, traffic: Traffic, uris: list[str]) -> None:
    """The collection holds what the oracle says, and every row is its image's."""
    expected = traffic.expected()
    rows = _rows(pair, uris)
    stored = pair.index.read(list(expected), vectors=True)
    assert {product: one.state for product, one in stored.items()} == expected
    for one in stored.values():
        document = one.state.document
        assert [image.uri for image in one.images] == ([i.uri for i in document.images] if document else [])
        assert one.vectors is not None
        for image in one.images:
            assert image.row is not None
            np.testing.assert_allclose(one.vectors[image.row], rows[image.uri], atol=1e-5)


def _rows(pair: Pair, uris: list[str]) -> dict[str, Any]:
    how = pair.encoder.spec.preprocessing
    pixels = [input_of(picture, name="drawn", p=how, max_pixels=10**7) for picture in PICTURES]
    return dict(zip(uris, pair.batcher.embed_images(pixels), strict=True))


def ask(crew: Crew) -> str:
    """Ask for what is like some product; the answer is right for the pair that it names."""
    with crew.runtime.resources.serving.lease() as pair:
        page = pair.index.scroll(Filter(), limit=100, vectors=True).products
        live = {one.id: one for one in page if one.vectors is not None and len(one.vectors)}
        if len(live) < 2:
            return pair.fingerprint
        seed = min(live)
        answer = pair.recommender.similar(Question(positive=(seed,), limit=50))
        best = {
            other: float((live[seed].vectors @ one.vectors.T).max())
            for other, one in live.items()
            if other != seed
        }
        assert {item.product.id: pytest.approx(item.score, abs=1e-5) for item in answer.items} == best
        assert answer.encoder == pair.fingerprint
        return pair.fingerprint


def swapped(crew: Crew, traffic: Traffic, **options: Any) -> list[str]:
    """Run a swap to its end, with events before every step; returns the phases that there were."""
    crew.send("catalog.reindex", SWAP)
    seen = []
    for _ in range(3000):
        publish(crew, traffic.some())
        crew.work()
        ask(crew)
        going_on = crew.step(**options)
        seen += [job.phase] if (job := crew.job()) and job.phase not in seen else []
        if not going_on:
            break
    publish(crew, traffic.rest())
    crew.work()
    return seen


def pairs_of(crew: Crew) -> dict[str, Pair]:
    return {pair.fingerprint: pair for pair in crew.runtime.resources.serving.pairs()}


@pytest.mark.parametrize("killed", [False, True], ids=["alive", "killed at every step"])
def test_a_swap_under_events_loses_none_and_answers_rightly(
    crew: Crew, traffic: Traffic, uris: list[str], killed: bool
) -> None:
    publish(crew, traffic.some(30))
    crew.work()
    seen = swapped(crew, traffic, loses_record=killed)
    (job,) = crew.runtime.jobs.list()
    assert (job.state, job.message) == ("done", "")
    assert list(job.report["seconds"]) == list(PHASES[:-1])
    assert [phase for phase in seen if phase not in PHASES] == []
    assert job.report["gate"]["passed"]
    wait_until("the new one serves", lambda: crew.runtime.resources.serving.current.fingerprint == NEW)
    assert ask(crew) == NEW
    pairs = pairs_of(crew)
    for fingerprint in (OLD, NEW):
        check_pair(pairs[fingerprint], traffic, uris)
    assert crew.runtime.dead_letters.count() == 0


def test_a_rollback_loses_nothing_and_drop_old_ends_the_swap(
    crew: Crew, traffic: Traffic, uris: list[str], book: SwapBook
) -> None:
    publish(crew, traffic.some(30))
    swapped(crew, traffic)
    publish(crew, traffic.some(20))
    crew.work()
    crew.send("catalog.rollback", {})
    assert crew.finish().state == "done"
    assert crew.runtime.resources.serving.current.fingerprint == OLD
    check_pair(crew.runtime.resources.serving.current, traffic, uris)
    swap = book.read()
    assert swap is not None
    assert swap.phase == "rolled-back"

    crew.send("catalog.drop_old", {})
    assert crew.finish().report["dropped"] == [NEW]
    assert book.read() is None
    assert crew.runtime.resources.engine.fingerprints() == [OLD]
    crew.send("catalog.drop_old", {})
    assert crew.finish().state == "stopped"
    crew.send("catalog.rollback", {})
    assert "nothing to roll back to" in crew.finish().message


def test_the_old_collection_goes_with_the_swap_where_that_is_asked_for(
    crew: Crew, traffic: Traffic, uris: list[str], book: SwapBook
) -> None:
    publish(crew, traffic.some(20))
    crew.work()
    crew.send("catalog.reindex", {**SWAP, "drop_old": True})
    job = crew.finish(loses_record=True)
    assert (job.state, job.message, job.report.get("dropped")) == ("done", "", [OLD])
    assert book.read() is None
    assert crew.runtime.resources.engine.fingerprints() == [NEW]
    publish(crew, traffic.some(10) + traffic.rest())
    crew.work()
    check_pair(crew.runtime.resources.serving.current, traffic, uris)


@pytest.mark.parametrize("crew", [{"max_photo_ms": 1e-9}], indirect=True)
def test_a_refusal_leaves_the_old_one_serving(crew: Crew, traffic: Traffic, book: SwapBook) -> None:
    publish(crew, traffic.some(30))
    swapped(crew, traffic)
    (job,) = crew.runtime.jobs.list()
    assert job.state == "stopped"
    assert "the gate refuses" in job.message
    assert not job.report["gate"]["passed"]
    assert book.read() is None  # dual writes have ended
    assert crew.runtime.resources.engine.serving() == OLD
    assert crew.runtime.resources.engine.fingerprints() == sorted([NEW, OLD])  # to be looked at
    wait_until("the new pair is closed", lambda: len(crew.runtime.resources.serving.pairs()) == 1)
    crew.send("catalog.rollback", {"drop_old": True})
    assert crew.finish().report["dropped"] == [NEW]


@pytest.mark.parametrize("phase", ["preparing", "backfilling", "catching-up"])
def test_a_cancelled_swap_ends_and_another_goes_on_from_it(
    crew: Crew, traffic: Traffic, uris: list[str], book: SwapBook, phase: str
) -> None:
    publish(crew, traffic.some(30))
    crew.work()
    crew.send("catalog.reindex", SWAP)
    while (job := crew.job()) is None or job.phase != phase:
        assert crew.step()
        crew.work()
    assert crew.runtime.jobs.cancel(job.id) == "cancelled"
    assert crew.finish().state == "cancelled"
    assert book.read() is None
    publish(crew, traffic.some(20))
    crew.work()  # the old collection alone hears of these
    assert crew.runtime.resources.engine.serving() == OLD
    swapped(crew, traffic)
    assert crew.runtime.jobs.list()[0].state == "done"
    pairs = pairs_of(crew)
    for fingerprint in (OLD, NEW):
        check_pair(pairs[fingerprint], traffic, uris)


def test_a_second_swap_beside_the_first_is_refused(crew: Crew, traffic: Traffic) -> None:
    publish(crew, traffic.some(10))
    swapped(crew, traffic)
    crew.send("catalog.reindex", {"encoder": "pixels"})
    job = crew.finish()
    assert job.state == "stopped"
    assert "lookalike reindex --drop-old" in job.message


def test_a_scope_with_another_encoder_is_an_error(crew: Crew) -> None:
    crew.send("catalog.reindex", {**SWAP, "scope": {"category": "a"}})
    crew.finish() if crew.job() else crew.step()
    (letter,) = crew.runtime.dead_letters.all()
    assert "leave out the scope" in letter.message


def test_what_an_encoder_can_not_be_opened_by_everywhere_stops_the_swap(
    crew: Crew, traffic: Traffic, book: SwapBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A process without the weights: the others go on serving, and the job says which it is."""
    publish(crew, traffic.some(10))
    crew.work()
    monkeypatch.setattr(phases, "GIVE_UP_ERROR_S", 0.0)
    crew.send("catalog.reindex", SWAP)
    crew.step()
    opener = crew.runtime.resources.opener
    monkeypatch.setattr(opener, "_load", _broken)
    job = crew.finish()
    assert job.state == "stopped"
    assert "the new encoder can't be opened" in job.message
    assert book.read() is None


def _broken(_: Any) -> PixelEncoder:
    raise WeightsUnavailable("the weights of coarse can't be read")


def test_a_dry_run_counts_measures_and_creates_nothing(crew: Crew, traffic: Traffic, book: SwapBook) -> None:
    publish(crew, traffic.some(30))
    crew.work()
    crew.send("catalog.reindex", {**SWAP, "dry_run": True})
    job = crew.finish()
    assert job.state == "done"
    assert job.report["encoder"] == NEW
    assert job.report["points"] == len(crew.runtime.resources.index.census().entries) > 0
    assert 0 < job.report["products"] <= job.report["images"]
    assert job.report["hours"] is not None
    assert job.report["vectors_mib"] >= 0
    assert book.read() is None
    assert crew.runtime.resources.engine.fingerprints() == [OLD]


def test_an_encoder_that_can_not_be_loaded_begins_no_swap(
    crew: Crew, book: SwapBook, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(crew.runtime.resources.opener, "_load", _broken)
    crew.send("catalog.reindex", SWAP)
    job = crew.finish()
    assert job.state == "stopped"
    assert "the weights of coarse can't be read" in job.message
    assert book.read() is None
    assert crew.runtime.resources.engine.fingerprints() == [OLD]


def test_a_failure_in_the_new_collection_takes_nothing_from_the_old_one(
    crew: Crew, traffic: Traffic, uris: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its index is away: the old one has the events at once, and all of them come again for both."""
    publish(crew, traffic.some(20))
    swapped(crew, traffic)
    pairs = pairs_of(crew)
    assert crew.runtime.resources.serving.current is pairs[NEW]
    with monkeypatch.context() as patch:
        patch.setattr(pairs[OLD].index, "write", _away)
        news = ("products.patch", {"id": "p0", "version": 1000, "title": "news"})
        traffic.sent.append(news)
        publish(crew, [*traffic.rest(), news])
        for _ in range(crew.runtime.redis.llen("products")):  # each once; what comes again is behind them
            message = crew.take("products")
            assert message is not None
            crew.run(message)
        check_pair(pairs[NEW], traffic, uris)
        assert crew.runtime.redis.llen("products") > 0
    crew.work()
    check_pair(pairs[OLD], traffic, uris)
    assert crew.runtime.dead_letters.count() == 0


def _away(_: Any) -> set[str]:
    raise IndexUnavailable("away")
