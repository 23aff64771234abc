"""Ours: a real `lookalike up` (Redis, Celery worker, embedded index, API), stopped while others are measured.

Messages are in Redis before the worker goes on. The clock runs from there to the last line that says that a
message was written; then the index is asked how many products it finds.
"""

import itertools
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
from celery import Celery

from config.settings import PREFIX
from tests.benchmarks.contenders.fetching import KEY, REGION
from tests.benchmarks.store import BUCKET
from worker.owner import read_address
from worker.up import Stack, running_stack

MESSAGE = 256
STAGES = ("plan", "fetch", "decode", "embed", "write")
_GIVE_UP_S = 240
Documents = list[dict[str, Any]]


class Ours:
    """The running stack, as the benchmark uses it."""

    def __init__(self, stack: Stack, data_dir: Path) -> None:
        owner = read_address(data_dir)
        assert owner is not None
        self.pid = owner.pid
        self._log = data_dir / "up.log"
        self._http = httpx.Client(
            base_url=stack.api_url, headers={"X-API-Key": stack.api_key}, timeout=60, trust_env=False
        )
        self._producer = Celery("bench", broker=stack.redis_url, set_as_current=False)
        self._version = itertools.count(time.time_ns() // 1_000_000)

    def pause(self) -> None:
        """Let it sleep, so that it costs the others nothing."""
        os.kill(self.pid, signal.SIGSTOP)

    def go_on(self) -> None:
        """Let it work again."""
        os.kill(self.pid, signal.SIGCONT)

    def run(self, messages: Sequence[Documents], event: str = "products.upsert") -> "Run":
        """Publish to the paused worker, let it work until all is done, pause it again."""
        for message in messages:
            self._producer.send_task(event, args=[message], queue="products")
        at = self._log.stat().st_size
        started = time.time()
        self.go_on()
        lines = self._applied(at, sum(map(len, messages)))
        run = Run(lines, max(line["at"] for line in lines) - started)
        self.pause()
        return run

    def upserts(self, keys: Iterator[str], count: int, name: str) -> list[Documents]:
        """New products with an image each, in full messages."""
        return full_messages(
            {
                "id": f"{name}-{number}",
                "version": self.newer(),
                "images": [f"s3://{BUCKET}/{next(keys)}"],
                "category": f"bench/{name}",
                "title": f"Product {number}",
                "price": 9.9,
            }
            for number in range(count)
        )

    def newer(self) -> int:
        """A version above all that were given so far."""
        return next(self._version)

    def searchable(self, name: str) -> int:
        """How many products of this name the index finds."""
        self.go_on()
        found = self._http.get("/v1/categories").raise_for_status().json()["categories"]
        self.pause()
        return int(found.get(f"bench/{name}", 0))

    def rss_mib(self) -> float:
        """What the worker holds."""
        status = Path(f"/proc/{self.pid}/status").read_text()
        return int(status.partition("VmRSS:")[2].split()[0]) / 1024

    def close(self) -> None:
        self.go_on()
        self._producer.close()
        self._http.close()

    def said(self, event: str) -> list[dict[str, Any]]:
        """Every line of the log with this event."""
        return [line for line in _lines(self._log, 0) if line["event"] == event]

    def _applied(self, at: int, products: int) -> list[dict[str, Any]]:
        deadline = time.monotonic() + _GIVE_UP_S
        while time.monotonic() < deadline:
            lines = [line for line in _lines(self._log, at) if line["event"] == "message_applied"]
            if sum(line["applied"] + line["unchanged"] + line["stale"] for line in lines) >= products:
                for line in lines:
                    line["at"] = _seconds(line["time"])
                return lines
            time.sleep(0.02)
        raise RuntimeError(
            f"the worker did not finish {products} products in {_GIVE_UP_S} s: see {self._log}"
        )


class Run:
    """One measured run: its lines and seconds."""

    def __init__(self, lines: list[dict[str, Any]], seconds: float) -> None:
        self.seconds = seconds
        self.embedded = sum(line["embedded"] for line in lines)
        self.applied = sum(line["applied"] for line in lines)
        self.products = sum(line["applied"] + line["unchanged"] + line["stale"] for line in lines)
        self.stages_s = {name: sum(line[f"{name}_ms"] for line in lines) / 1000 for name in STAGES}


@contextmanager
def running_ours(encoder: Mapping[str, Any], endpoint_url: str, data_dir: Path) -> Iterator[Ours]:
    """Start it with these encoder settings, and leave it paused."""
    with running_stack(environment_of(encoder, endpoint_url, data_dir), data_dir) as stack:
        ours = Ours(stack, data_dir)
        ours.pause()
        try:
            yield ours
        finally:
            ours.close()


def environment_of(encoder: Mapping[str, Any], endpoint_url: str, data_dir: Path) -> dict[str, str]:
    """What the worker is told; all else is as it comes."""
    values = {
        "ENCODER__NAME": encoder["encoder"],
        "ENCODER__WEIGHTS": encoder["weights"],
        **{f"ENCODER__{name}".upper(): value for name, value in encoder.get("settings", {}).items()},
        "INDEX__URL": f"edge:{data_dir / 'index'}",
        "S3__ENDPOINT_URL": endpoint_url,
        "S3__REGION": REGION,
        "S3__BUCKETS": json.dumps([BUCKET]),
        "API__PORT": "0",
        "API__KEYS": "[]",
        "LOG__FORMAT": "json",
    }
    aws = {"AWS_ACCESS_KEY_ID": KEY, "AWS_SECRET_ACCESS_KEY": KEY, "NO_PROXY": "127.0.0.1"}
    return {f"{PREFIX}{name}": str(value) for name, value in values.items()} | aws


def full_messages(documents: Iterator[dict[str, Any]]) -> list[Documents]:
    """256 a message."""
    messages = []
    while message := list(itertools.islice(documents, MESSAGE)):
        messages.append(message)
    return messages


def _lines(path: Path, at: int) -> list[dict[str, Any]]:
    with path.open("rb") as file:
        file.seek(at)
        lines = file.read().splitlines()
    return [json.loads(line) for line in lines if line.startswith(b"{") and line.endswith(b"}")]


def _seconds(text: str) -> float:
    return datetime.fromisoformat(text).timestamp()
