"""`python -m tests.benchmarks.refresh`: what a refresh costs where nothing or one product has changed.

One `lookalike up` with the shipped encoder, an image of 256 px a product. First the feed is read into an
empty index (the full refresh: every image is fetched, decoded, embedded and written), then the same feed
again and again: unchanged, with one product changed, with one image changed under its URI. Each is timed from
its trigger until the job has ended and no message is left. Writes bench/refresh/refresh.json and
docs/benchmarks-refresh.md.
"""

import argparse
import json
import os
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import httpx
import redis
from celery import Celery

from config.settings import PREFIX
from tests.benchmarks import machine, pictures, refresh_page
from tests.benchmarks.result import Result
from tests.benchmarks.stack import environment_of
from tests.benchmarks.store import BUCKET, Store, running_store
from worker.jobs.book import JobBook, JobRecord
from worker.owner import read_address
from worker.up import Stack, running_stack

PX = 256
CATALOG = "lookalike"
_QUEUES = ("products", "catalog", "bulk", "quarantine")
_GIVE_UP_S = 3600
_TICK_S = os.sysconf("SC_CLK_TCK")


def main() -> int:
    """Run it."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.refresh", description=__doc__)
    parser.add_argument("--products", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3, help="of the refreshes that change little")
    parser.add_argument("--out", type=Path, default=refresh_page.FOLDER, help="of the raw results")
    asked = parser.parse_args()
    asked.out.mkdir(parents=True, exist_ok=True)
    result = Result("refresh", machine=machine.describe())
    result.facts |= {"products": asked.products, "rounds": asked.rounds, "px": PX}
    with tempfile.TemporaryDirectory(prefix="bench-refresh-") as folder:
        measure(Path(folder), asked.products, asked.rounds, result)
    result.write(asked.out)
    refresh_page.write(asked.out)
    print(refresh_page.section(result))
    return 0


def measure(folder: Path, products: int, rounds: int, result: Result) -> None:
    """Set up the store and the stack, and time every kind."""
    root, data_dir, feeds = folder / "root", folder / "data", folder / "feeds"
    for needed in (data_dir, feeds):
        needed.mkdir()
    say("drawing the photos")
    keys = linked(root, products)
    feed = feeds / "catalog.jsonl"
    documents = [document(number, key) for number, key in enumerate(keys)]
    write(feed, documents)
    result.facts["feed_mib"] = round(feed.stat().st_size / 2**20, 1)
    with running_store(root, folder / "store", lists=True) as store:
        env = environment_of({"encoder": "compact", "weights": ""}, store.endpoint_url, data_dir)
        env |= {
            f"{PREFIX}FEED__ALLOWED": json.dumps([f"file://{feeds}/"]),
            f"{PREFIX}IMAGES__LOCAL_ROOT": str(feeds),
        }
        with running_stack(env, data_dir) as stack:
            bench = Bench(stack, store, data_dir, feed, result)
            say(f"the full refresh of {products} products")
            bench.run("full")
            for number in range(rounds):
                say(f"round {number + 1} of {rounds}")
                bench.run("unchanged")
                documents[number] = {**documents[number], "price": 1.0, "version": 2}
                write(feed, documents)
                bench.run("one product changed")
                replace_image(root / BUCKET / keys[-1 - number], root / BUCKET / keys[0])
                bench.run("one image changed")
            bench.close()


class Bench:
    """The running stack, and what is read off it."""

    def __init__(self, stack: Stack, store: Store, data_dir: Path, feed: Path, result: Result) -> None:
        owner = read_address(data_dir)
        assert owner is not None
        self._pid, self._store, self._feed, self._result = owner.pid, store, feed.as_uri(), result
        self._http = httpx.Client(
            base_url=stack.api_url, headers={"X-API-Key": stack.api_key}, timeout=60, trust_env=False
        )
        self._redis = redis.Redis.from_url(stack.redis_url, decode_responses=True)
        self._book = JobBook(self._redis, CATALOG)
        self._producer = Celery("bench", broker=stack.redis_url, set_as_current=False)

    def run(self, kind: str) -> None:
        """Time one refresh to the end of its last message."""
        before = self._read()
        started = time.perf_counter()
        self._producer.send_task("catalog.refresh", kwargs={"feed": self._feed}, queue="catalog")
        record = self._ended(int(before["jobs"]))
        took_s = time.perf_counter() - started
        after = self._read()
        if record.state != "done":
            raise RuntimeError(f"the refresh has {record.state}: {record.message}")
        counted = {name: after[name] - before[name] for name in ("cpu_s", "embedded", "device_s", "answers")}
        for name, value in {"seconds": took_s, **counted}.items():
            self._result.figure(f"{kind}: {name}", unit="s" if name.endswith("s") else "").values.append(
                value
            )
        self._result.facts.setdefault("reports", {}).setdefault(kind, []).append(record.report)

    def close(self) -> None:
        self._producer.close()
        self._redis.close()
        self._http.close()

    def _ended(self, jobs: int) -> JobRecord:
        deadline = time.monotonic() + _GIVE_UP_S
        while time.monotonic() < deadline:
            records = self._book.list()
            if len(records) > jobs and not any(one.is_open for one in records) and not self._waiting():
                return max(records, key=lambda one: one.created_at)
            time.sleep(0.02)
        raise RuntimeError(f"the refresh did not end in {_GIVE_UP_S} s")

    def _waiting(self) -> int:
        with self._redis.pipeline(transaction=False) as pipe:
            for queue in _QUEUES:
                pipe.llen(queue)
            pipe.hlen("unacked")
            return int(sum(pipe.execute()))

    def _read(self) -> dict[str, float]:
        said = self._http.get("/metrics").raise_for_status().text
        fields = Path(f"/proc/{self._pid}/stat").read_text().rpartition(")")[2].split()
        return {
            "cpu_s": (int(fields[11]) + int(fields[12])) / _TICK_S,
            "embedded": metric(said, "lookalike_images_embedded_total"),
            "device_s": metric(said, 'lookalike_encode_seconds_sum{kind="image"}'),
            "answers": self._store.answered()["200"],
            "jobs": len(self._book.list()),
        }


def metric(text: str, name: str) -> float:
    """A value of /metrics; 0 for one that is not there yet."""
    lines = (line.rpartition(" ") for line in text.splitlines())
    return next((float(value) for known, _, value in lines if known == name), 0.0)


def linked(root: Path, products: int) -> list[str]:
    """A key of its own for every product; the photos behind them repeat."""
    pictures.prepare(root, (PX,), None)
    photos = [root / BUCKET / str(PX) / f"{number}.jpg" for number in range(pictures.PHOTOS)]
    keys = [f"{PX}-products/{number:07}.jpg" for number in range(products)]
    (root / BUCKET / f"{PX}-products").mkdir(exist_ok=True)
    for number, key in enumerate(keys):
        os.link(photos[number % len(photos)], root / BUCKET / key)
    return keys


def document(number: int, key: str) -> dict[str, Any]:
    """Of the size that a shop's are."""
    return {
        "id": f"sku-{number:07}",
        "version": 1,
        "images": [f"s3://{BUCKET}/{key}"],
        "category": f"bench/{number % 50}",
        "title": f"Product number {number}",
        "brand": f"Brand {number % 200}",
        "price": 9.9 + number % 100,
        "currency": "EUR",
        "attributes": {"colour": ("black", "red", "green")[number % 3], "sizes": ["38", "39", "40"]},
    }


def write(feed: Path, documents: Sequence[dict[str, Any]]) -> None:
    """As JSON Lines."""
    feed.write_text("".join(f"{json.dumps(one)}\n" for one in documents))


def replace_image(target: Path, source: Path) -> None:
    """Other bytes under the same key; not those of the keys that are links to the same file."""
    fresh = target.with_suffix(".new")
    fresh.write_bytes(source.read_bytes())
    fresh.replace(target)


def say(text: str) -> None:
    """A line for whoever waits."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
