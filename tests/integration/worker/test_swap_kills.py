"""Workers that are killed in the midst of a model swap: it goes on, and nothing is missing or wrong."""

import itertools
from collections.abc import Callable
from typing import Any

import redis

from recommender.index.embedded import EmbeddedEngine
from recommender.index.schema import Schema
from recommender.swap_state import SwapBook
from worker.jobs.book import JobBook

APP = "tests.integration.worker.quick_takeover_app"
PRODUCTS = 24
LENIENT = {
    f"GATE__{name}": value
    for name, value in {
        "MIN_OVERLAP": "0",
        "MIN_OVERLAP_ALONE": "0",
        "MAX_QUALITY_LOSS": "1",
        "MIN_RECALL": "0",
        "MAX_SLOWDOWN": "1000",
        "MAX_PHOTO_MS": "600000",
    }.items()
}


def test_a_swap_goes_on_where_its_worker_was_killed(
    start_worker: Any,
    wait_for: Any,
    s3: Any,
    photo: Callable[[int], bytes],
    document: Callable[..., dict[str, Any]],
) -> None:
    versions = itertools.count(2)
    shop = start_worker(app=APP, **LENIENT)
    uris = [s3.put(f"{number}.jpg", photo(number)) for number in range(PRODUCTS)]
    shop.send("products.upsert", [document(f"p{number}", uri) for number, uri in enumerate(uris)])
    shop.wait_for_product(f"p{PRODUCTS - 1}")
    expected = {}
    with redis.Redis.from_url(shop.redis_url, decode_responses=True) as client:
        jobs, swaps = JobBook(client, "lookalike"), SwapBook(client, "lookalike")
        shop.send("catalog.reindex", queue="catalog", encoder="compact-128")
        for phases in (("preparing",), ("backfilling",), ("catching-up", "judging"), ("flipping",)):
            wait_for(f"{phases}\n{shop.said()}", lambda some=phases: _is_past(swaps, some))
            shop.process.kill()
            shop.process.wait(10)
            for number in range(4):
                version = next(versions)
                expected[f"p{number}"] = version
                changed = {"id": f"p{number}", "version": version, "title": f"v{version}"}
                shop.send("products.patch", [changed])
            shop = start_worker(app=APP, **LENIENT)
            answer = shop.get("/v1/products/p9/similar?limit=5")
            assert answer.status_code == 200
            assert len(answer.json()["items"]) == 5
        wait_for(f"it has ended\n{shop.said()}", lambda: not jobs.list()[0].is_open)
        (record,) = jobs.list()
        assert (record.state, record.message) == ("done", "")
        wait_for("all is done", lambda: shop.in_hand() == 0)
    assert shop.dead_letters() == []
    assert shop.stop() == 0
    _check(shop, expected)


def _is_past(swaps: SwapBook, phases: tuple[str, ...]) -> bool:
    """Whether a swap is in one of these phases, or beyond."""
    order = ("preparing", "backfilling", "catching-up", "judging", "flipping", "flipped")
    swap = swaps.read()
    return swap is not None and order.index(swap.phase) >= order.index(phases[0])


def _check(shop: Any, expected: dict[str, int]) -> None:
    """Both collections hold every product, with the newest versions and a row each."""
    engine = EmbeddedEngine(shop.data_dir / "index", Schema("lookalike", ()))
    ids = [f"p{number}" for number in range(PRODUCTS)]
    for fingerprint in engine.fingerprints():
        stored = engine.open(fingerprint).read(ids)
        assert {one: stored[one].state.version for one in ids} == {**dict.fromkeys(ids, 1), **expected}
        assert all(image.row == 0 for one in stored.values() for image in one.images)
    assert (engine.serving() or "").startswith("compact-128-")
    engine.close()
