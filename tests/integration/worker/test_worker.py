"""Product events through a stock Celery worker, as a shop's backend publishes them."""

import json
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import redis


def test_what_is_published_is_searchable_and_the_bad_costs_only_itself(
    start_worker: Any, s3: Any, photo: Callable[[int], bytes], document: Callable[..., dict[str, Any]]
) -> None:
    shop = start_worker()
    uris = [s3.put(f"{n}.jpg", photo(n)) for n in range(4)]
    missing = f"s3://{s3.bucket}/missing.jpg"
    shop.send(
        "products.upsert",
        [
            document("red", uris[0]),
            {"id": "no version", "images": [uris[1]], "category": "x", "trace_id": "abc"},
            document("half", uris[1], missing, title="one good image"),
            document("blue", uris[2], category="women/bags"),
            {**document("odd", uris[3]), "colour": "red"},
        ],
    )

    assert shop.wait_for_product("red")["searchable"]
    assert shop.wait_for_product("half")["title"] == "one good image"
    shop.wait_for_product("blue")
    found = shop.get("/v1/products/red/similar").json()["items"]
    assert {item["id"] for item in found} == {"half", "blue"}
    shoes = shop.get("/v1/products/red/similar?category=women/shoes").json()["items"]
    assert [item["id"] for item in shoes] == ["half"]

    letters = {letter["reason"] + letter["image"]: letter for letter in shop.wait_for_dead_letters(3)}
    of_image = letters[f"ImageNotFound{missing}"]
    assert json.loads(of_image["document"])["id"] == "half"
    assert missing in of_image["message"]
    invalid = [letter for letter in shop.dead_letters() if letter["reason"] == "InvalidEvent"]
    assert {json.loads(letter["document"])["id"] for letter in invalid} == {"no version", "odd"}
    assert "version" in invalid[0]["message"]
    assert invalid[0]["trace_id"] == "abc"
    assert "colour" in invalid[1]["message"]
    assert shop.stop() == 0
    assert shop.in_hand() == 0


def test_patches_and_deletes_arrive_in_any_order(
    start_worker: Any, s3: Any, photo: Callable[[int], bytes], document: Callable[..., dict[str, Any]]
) -> None:
    shop = start_worker()
    uri = s3.put("a.jpg", photo(1))
    shop.send("products.patch", [{"id": "early", "version": 5, "price": 10.0}])
    shop.send("products.upsert", [document("early", uri, version=3, price=99.0, title="t")])
    shop.send("products.upsert", [document("gone", uri, version=3)])
    shop.send("products.delete", [{"id": "gone", "version": 7}])
    shop.send("products.upsert", [document("gone", uri, version=6)])
    shop.send("products.upsert", [document("back", uri, version=1), document("other", uri)])
    shop.send("products.delete", [{"id": "back", "version": 2}])
    shop.send("products.upsert", [document("back", uri, version=3, title="again")])

    patched = shop.wait_for_product("early", price=10.0)
    assert patched["title"] == "t"
    shop.wait_for_product("back", title="again")
    shop.send("products.upsert", [document("last", uri)])
    shop.wait_for_product("last")
    assert shop.stop() == 0
    shop = start_worker()
    assert shop.product("gone") is None
    assert {i["id"] for i in shop.get("/v1/products/last/similar").json()["items"]} == {
        "early",
        "back",
        "other",
    }
    assert shop.dead_letters() == []


def test_what_is_no_message_is_a_dead_letter_and_the_worker_goes_on(
    start_worker: Any, s3: Any, photo: Callable[[int], bytes], document: Callable[..., dict[str, Any]]
) -> None:
    shop = start_worker()
    uri = s3.put("a.jpg", photo(1))

    def envelope(body: str, **headers: object) -> str:
        info = {"exchange": "", "routing_key": "products"}
        return json.dumps(
            {
                "body": body,
                "content-type": "application/json",
                "content-encoding": "utf-8",
                "headers": {"task": "products.upsert", "id": "1", **headers},
                "properties": {"delivery_tag": f"{body}{headers}", "delivery_info": info},
            }
        )

    with redis.Redis.from_url(shop.redis_url) as client:
        client.lpush(
            "products",
            "garbage",
            b"\xff\xfe",
            "{}",
            envelope("[[], {}, {}]", task="products.unknown"),
            envelope("not json"),
            envelope("42"),
            envelope('[{"a": 1}, {}, {}]'),
            envelope("[[], {}, {}]", id=None),
            envelope('[["never"], {}, {}]', eta="never"),
            envelope('[["far"], {}, {}]', eta="9999-12-31T23:59:59-12:00"),
            envelope('[[], {"task": "named like the parameter"}, {}]'),
            envelope("[[1, 2], {}, {}]"),
            envelope('[[{"id": "no list"}], {}, {}]'),
            envelope('[[[]], {"keyword": 1}, null]'),
            envelope(json.dumps([[[document("raw", uri)]], {}, {}])),
            envelope(json.dumps([[[document("late", uri)]], {}, {}]), expires="2020-01-01T00:00:00+00:00"),
            envelope(json.dumps([[[document("due", uri)]], {}, {}]), eta="0001-01-01T00:00:00+12:00"),
        )
    shop.wait_for_product("raw")
    shop.wait_for_product("late")  # a newer version supersedes it, no clock
    shop.wait_for_product("due")
    letters = shop.wait_for_dead_letters(14)
    assert len(letters) == 14
    assert {letter["reason"] for letter in letters} >= {"MalformedMessage", "InvalidEvent"}
    assert "garbage" in {letter["document"] for letter in letters}
    assert any("products.unknown" in letter["message"] for letter in letters)
    shop.send("products.upsert", [document("after", uri)])
    shop.wait_for_product("after")
    assert shop.stop() == 0
    assert shop.in_hand() == 0


def test_catalog_jobs(
    start_worker: Any,
    wait_for: Any,
    s3: Any,
    photo: Callable[[int], bytes],
    document: Callable[..., dict[str, Any]],
) -> None:
    shop = start_worker()
    uris = [s3.put(f"{n}.jpg", photo(n)) for n in range(3)]
    lines = [json.dumps(document(f"p{n}", uri)) for n, uri in enumerate(uris)]
    s3.put("feeds/all.jsonl", "\n".join([lines[0], "no json", "", '{"id": "x"}', *lines[1:]]).encode())
    shop.send("catalog.refresh", feed=f"s3://{s3.bucket}/feeds/all.jsonl", queue="catalog")
    shop.send("catalog.refresh", feed=f"s3://{s3.bucket}/elsewhere.jsonl", queue="catalog")
    shop.send("catalog.refresh", queue="catalog")
    for n in range(3):
        shop.wait_for_product(f"p{n}")
    letters = shop.wait_for_dead_letters(4)
    messages = "\n".join(letter["message"] for letter in letters)
    assert "line 2: not JSON" in messages
    assert "line 4: " in messages
    assert "no prefix of LOOKALIKE_FEED__ALLOWED" in messages
    assert "feed: Field required" in messages

    def nearest() -> float:
        return float(shop.get("/v1/products/p0/similar?limit=1").json()["items"][0]["score"])

    assert nearest() < 0.9999
    s3.put("0.jpg", photo(1))  # the very picture of p1, though no event says so
    shop.send("catalog.reindex", encoder="another", queue="catalog")
    shop.send("catalog.reindex", scope={"category": "women"}, queue="catalog")
    refused = shop.wait_for_dead_letters(5)[-1]
    assert "unknown encoder 'another'" in refused["message"]
    wait_for("p0 looks like p1", lambda: nearest() > 0.9999)
    assert shop.stop() == 0
    assert shop.in_hand() == 0


def test_beat_starts_in_a_folder_that_does_not_exist_yet(
    environment: dict[str, str], tmp_path: Path, wait_for: Any
) -> None:
    log, folder = tmp_path / "beat.log", Path(environment["LOOKALIKE_DATA_DIR"])
    assert not folder.exists()
    with log.open("ab") as output:
        command = [sys.executable, "-m", "celery", "-A", "worker", "beat"]
        beat = subprocess.Popen(  # noqa: S603
            [*command, "--pidfile", ""], env=environment, stdout=output, stderr=output
        )
    try:
        wait_for("it has opened its file", lambda: list(folder.glob("schedule*")) or beat.poll() is not None)
        assert beat.poll() is None, log.read_text()
        beat.terminate()
        assert beat.wait(60) == 0, log.read_text()
    finally:
        if beat.poll() is None:
            beat.kill()
        beat.wait(10)


def test_of_several_schedules_one_has_the_slot(
    start_worker: Any, wait_for: Any, s3: Any, photo: Callable[[int], bytes], document: Callable[..., Any]
) -> None:
    feed = s3.put("feeds/all.jsonl", json.dumps(document("a", s3.put("a.jpg", photo(1)))).encode())
    shop = start_worker(FEED__SCHEDULED=feed, FEED__EVERY_S="2592000")
    for _ in range(3):
        shop.send("catalog.scheduled_refresh", queue="catalog")
    shop.wait_for_product("a")
    wait_for("the others are skipped", lambda: shop.said().count("refresh_skipped") == 2)
    wait_for("nothing is left", lambda: shop.in_hand() == 0)
    assert shop.said().count("feed_refreshed") == 1
    assert shop.dead_letters() == []


def test_a_worker_that_must_not_start_says_why_in_one_line(start_worker: Any) -> None:
    shop = start_worker(wait=False, ENCODER__NAME="no-such-encoder")
    assert shop.process.wait(60) == 1
    assert "UnknownEncoder" in shop.said()
    assert "Traceback" not in shop.said()


def test_sigterm_finishes_what_is_in_hand(
    start_worker: Any, s3: Any, photo: Callable[[int], bytes], document: Callable[..., dict[str, Any]]
) -> None:
    shop = start_worker()
    uris = [s3.put(f"{n}.jpg", photo(n)) for n in range(8)]
    for n in range(40):
        shop.send("products.upsert", [document(f"p{n}-{k}", uri) for k, uri in enumerate(uris)])
    shop.wait_for_product("p0-0")
    assert shop.stop() == 0
    assert not (shop.data_dir / "owner.json").exists()
    shop = start_worker()
    for n in range(40):
        shop.wait_for_product(f"p{n}-7")
    assert shop.dead_letters() == []


def test_no_message_is_lost_when_workers_are_killed(
    start_worker: Any, s3: Any, photo: Callable[[int], bytes], document: Callable[..., dict[str, Any]]
) -> None:
    uris = [s3.put(f"{n}.jpg", photo(n)) for n in range(8)]
    shop = start_worker()
    for n in range(60):
        shop.send("products.upsert", [document(f"p{n}-{k}", uri) for k, uri in enumerate(uris)])
    shop.wait_for_product("p0-0")
    shop.process.kill()
    shop.process.wait(10)
    shop = start_worker()
    with redis.Redis.from_url(shop.redis_url) as client:
        # As if the visibility timeout had passed: what the dead worker held is visible again.
        for tag in client.zrange("unacked_index", 0, -1):
            client.zadd("unacked_index", {tag: 1}, xx=True)
    for n in range(60):
        shop.wait_for_product(f"p{n}-7")
    assert shop.dead_letters() == []
    assert shop.stop() == 0
    assert shop.in_hand() == 0
