"""`lookalike audit --repair` with a real worker behind it: what it finds, it mends by events."""

import json
import subprocess
import sys
import time
from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from config.settings import PREFIX
from recommender.events import parse_product_event
from recommender.index import schema
from recommender.index.open import open_engine
from recommender.index.protocol import Write
from recommender.merge import UNKNOWN, merge

Audit = Callable[..., dict[str, Any]]


@pytest.fixture
def audit(environment: dict[str, str]) -> Audit:
    def run(*arguments: str, **variables: str) -> dict[str, Any]:
        done = subprocess.run(  # noqa: S603
            [sys.executable, "-c", "from worker.cli import main; main()", "audit", *arguments, "--json"],
            env={**environment, **{f"{PREFIX}{name}": value for name, value in variables.items()}},
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )
        assert done.stdout, done.stderr
        report: dict[str, Any] = json.loads(done.stdout)
        assert done.returncode == (0 if report["clean"] else 1)
        return report

    return run


def counts(report: dict[str, Any]) -> dict[str, int]:
    return {found["kind"]: found["count"] for found in report["findings"] if found["count"]}


def leave_tombstone(make_settings: Any, product: str, days: float, patch: pytest.MonkeyPatch) -> None:
    """As if it had been deleted so long ago; no worker may run."""
    engine = open_engine(make_settings())
    serving = engine.serving()
    assert serving is not None
    index = engine.open(serving)
    state = merge(UNKNOWN, parse_product_event("products.delete", {"id": product, "version": 3}))
    rows = np.empty((0, engine.describe(serving).dimension), np.float32)
    with patch.context() as patched:
        patched.setattr(schema, "time", SimpleNamespace(time=lambda: time.time() - days * 86400))
        assert not index.write([Write(product, None, state, (), rows)])
    engine.close()


def test_a_repair_mends_what_was_found_and_a_repeat_finds_less(
    start_worker: Any,
    audit: Audit,
    s3: Any,
    photo: Callable[[int], bytes],
    document: Callable[..., dict[str, Any]],
    make_settings: Any,
    monkeypatch: pytest.MonkeyPatch,
    wait_for: Any,
) -> None:
    start_worker().stop()  # leaves an empty index
    leave_tombstone(make_settings, "long gone", 31, monkeypatch)
    leave_tombstone(make_settings, "just gone", 29, monkeypatch)
    shop = start_worker()
    uris = {name: s3.put(f"{name}.jpg", photo(seed)) for seed, name in enumerate("abcdef")}
    late = f"s3://{s3.bucket}/late.jpg"
    documents = {name: document(name, uri, title=name) for name, uri in uris.items()}
    del documents["b"]["title"]
    shop.send("products.upsert", [documents[name] for name in "acdef"])
    shop.send("products.upsert", [document("unseen", late), document("orphan", uris["a"], version=7)])
    for name in (*"acdef", "unseen", "orphan"):
        shop.wait_for_product(name, searchable=name != "unseen")
    time.sleep(2)  # the feed is younger than what is in the index: by whole seconds

    documents["c"] |= {"version": 9, "title": "as it is now"}
    documents["unseen"] = document("unseen", late)
    feed = s3.put("feeds/all.jsonl", "\n".join(map(json.dumps, documents.values())).encode())
    s3.put("d.jpg", photo(77))
    s3.client.delete_object(Bucket=s3.bucket, Key="e.jpg")
    s3.put("late.jpg", photo(78))

    kinds = ("missing", "stale", "orphaned", "invisible", "vanished", "replaced", "overdue")
    found = dict.fromkeys(kinds, 1)
    only_looked = audit("--feed", feed)
    assert counts(only_looked) == found
    assert only_looked["repair"] is None
    held_back = audit("--feed", feed, "--repair")
    assert counts(held_back) == found
    (left,) = held_back["repair"]["left"]
    assert "LOOKALIKE_FEED__MAX_GONE" in left
    published = {one["event"]: one["products"] for one in held_back["repair"]["published"]}
    assert published == {"products.upsert": 2, "products.embed": 3, "products.purge": 1}

    shop.wait_for_product("b")
    shop.wait_for_product("c", title="as it is now")
    shop.wait_for_product("unseen", searchable=True)
    wait_for("all is done", lambda: not shop.in_hand())
    again = audit("--feed", feed, "--repair", FEED__MAX_GONE="0.5")
    # The picture of e is still gone, and the product no longer compared by it.
    assert counts(again) == {"orphaned": 1, "invisible": 1}
    assert again["compared"]["tombstones"] == 1
    wait_for("the orphan is gone", lambda: shop.product("orphan") is None)

    s3.put("e.jpg", photo(4))
    audit("--feed", feed, "--repair")
    shop.wait_for_product("e", searchable=True)
    wait_for("all is done", lambda: not shop.in_hand())
    last = audit("--feed", feed)
    assert last["clean"], counts(last)
    assert last["compared"]["tombstones"] == 2  # those of the orphan, and of what is just gone


def test_deletes_wait_for_a_feed_whose_records_can_all_be_told(
    start_worker: Any,
    audit: Audit,
    s3: Any,
    photo: Callable[[int], bytes],
    document: Callable[..., dict[str, Any]],
    wait_for: Any,
) -> None:
    shop = start_worker(FEED__MAX_GONE="1")
    uri = s3.put("a.jpg", photo(1))
    shop.send("products.upsert", [document("a", uri), document("orphan", uri)])
    shop.wait_for_product("orphan")
    time.sleep(2)
    feed = s3.put("feeds/all.jsonl", json.dumps(document("a", uri)).encode() + b"\nno json\n")
    report = audit("--feed", feed, "--repair", FEED__MAX_GONE="1")
    assert counts(report) == {"orphaned": 1, "refused": 1}
    assert report["repair"]["published"] == []
    assert "no id that can be read" in report["repair"]["left"][0]
    wait_for("all is done", lambda: not shop.in_hand())
    assert shop.product("orphan") is not None
