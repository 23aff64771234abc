"""A stock Celery worker in a process of its own, with an encoder of random weights."""

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import redis
import torch
from celery import Celery
from PIL import Image
from safetensors.torch import save_file

from config.settings import PREFIX, Settings
from recommender.encoders.compact.model import CompactResNet
from worker import runtime
from worker.breaker import Breakers
from worker.deliveries import Deliveries
from worker.jobs.book import JobBook
from worker.jobs.dead_letters import DeadLetters
from worker.owner import read_address
from worker.runtime import Runtime
from worker.watchdog import Watchdog

WITHIN_S = 90


def wait_until(what: str, check: Callable[[], Any]) -> Any:
    """Poll until `check` answers something true; the limit is for hangs, not a promise."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        if found := check():
            return found
        time.sleep(0.05)
    raise AssertionError(f"not within {WITHIN_S} s: {what}")


@pytest.fixture(scope="session")
def wait_for() -> Callable[[str, Callable[[], Any]], Any]:
    return wait_until


@pytest.fixture(scope="session")
def weights(tmp_path_factory: pytest.TempPathFactory) -> Path:
    torch.manual_seed(7)
    path = tmp_path_factory.mktemp("weights") / "compact.safetensors"
    save_file(CompactResNet().state_dict(), path)
    return path


@pytest.fixture(scope="session")
def open_runtime() -> Any:
    return opened_runtime


@pytest.fixture(scope="session")
def photo() -> Callable[[int], bytes]:
    """A JPEG that no other seed gives."""

    def draw(seed: int) -> bytes:
        coarse = np.random.default_rng(seed).integers(0, 256, (6, 6, 3), dtype=np.uint8)
        file = io.BytesIO()
        Image.fromarray(coarse).resize((240, 200), Image.Resampling.NEAREST).save(file, "JPEG")
        return file.getvalue()

    return draw


@pytest.fixture(scope="session")
def document() -> Callable[..., dict[str, Any]]:
    def make(identity: str, *images: str, version: int = 1, **fields: Any) -> dict[str, Any]:
        return {
            "id": identity,
            "version": version,
            "images": list(images),
            "category": "women/shoes",
        } | fields

    return make


@contextmanager
def opened_runtime(settings: Settings, client: Any, **parts: Any) -> Iterator[Runtime]:
    """The process's runtime, of the real parts that bodies need; the others as given, or missing."""
    with Watchdog(settings.worker.deadline_s, settings.worker.grace_s) as watchdog, Breakers() as breakers:
        known = dict.fromkeys(Runtime.__slots__) | {
            "settings": settings,
            "dead_letters": DeadLetters(client, settings.catalog),
            "redis": client,
            "jobs": JobBook(client, settings.catalog),
            "deliveries": Deliveries(client, ""),
            "breakers": breakers,
            "watchdog": watchdog,
        }
        opened = Runtime(**known | parts)
        runtime._open.append(opened)
        try:
            yield opened
        finally:
            runtime._open.remove(opened)


@dataclass
class Shop:
    """What a shop's backend sees: a broker to publish to, and an API to ask."""

    redis_url: str
    data_dir: Path
    process: "subprocess.Popen[bytes]"
    log: Path

    def send(self, task: str, *args: Any, queue: str = "products", **kwargs: Any) -> None:
        with Celery("shop", broker=self.redis_url, set_as_current=False) as producer:
            producer.send_task(task, args=args, kwargs=kwargs, queue=queue)

    def get(self, path: str) -> httpx.Response:
        owner = read_address(self.data_dir)
        assert owner is not None
        return httpx.get(owner.url + path, headers=owner.headers, timeout=30)

    def product(self, identity: str) -> dict[str, Any] | None:
        response = self.get(f"/v1/products/{identity}")
        return response.json() if response.is_success else None

    def wait_for_product(self, identity: str, **fields: Any) -> dict[str, Any]:
        def there() -> dict[str, Any] | None:
            found = self.product(identity)
            return found if found and fields.items() <= found.items() else None

        return wait_until(f"{identity} with {fields}\n{self.said()}", there)

    def dead_letters(self) -> list[dict[str, str]]:
        with redis.Redis.from_url(self.redis_url, decode_responses=True, encoding_errors="replace") as client:
            return [fields for _, fields in client.xrange("lookalike:dead-letters")]

    def wait_for_dead_letters(self, count: int) -> list[dict[str, str]]:
        def enough() -> list[dict[str, str]] | None:
            letters = self.dead_letters()
            return letters if len(letters) >= count else None

        return wait_until(f"{count} dead letters\n{self.said()}", enough)

    def in_hand(self) -> int:
        """Messages that are queued or not acknowledged."""
        with redis.Redis.from_url(self.redis_url) as client:
            queued = [client.llen(queue) for queue in ("products", "bulk", "catalog", "quarantine")]
            return int(sum(queued) + client.hlen("unacked"))

    def said(self) -> str:
        return self.log.read_text(errors="replace")[-4000:]

    def stop(self) -> int:
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(WITHIN_S)


StartWorker = Callable[..., Shop]


@pytest.fixture
def environment(weights: Path, s3: Any, redis_server: Any, tmp_path: Path) -> dict[str, str]:
    """The variables of a worker that serves a free port and allows the test's bucket."""
    ours = {
        "DATA_DIR": str(tmp_path / "data"),
        "REDIS__URL": redis_server.url,
        "ENCODER__WEIGHTS": str(weights),
        "ENCODER__THREADS": "1",
        "S3__ENDPOINT_URL": s3.endpoint_url,
        "S3__BUCKETS": f'["{s3.bucket}"]',
        "FEED__ALLOWED": f'["s3://{s3.bucket}/feeds/"]',
        "API__PORT": "0",
        "WORKER__RETRY_DELAY_S": "0.2",
        "LOG__FORMAT": "json",
    }
    return {**os.environ, **{f"{PREFIX}{name}": value for name, value in ours.items()}}


@pytest.fixture
def start_worker(environment: dict[str, str], tmp_path: Path) -> Iterator[StartWorker]:
    """Start the stock worker; `wait` until it serves."""
    started: list[subprocess.Popen[bytes]] = []
    log = tmp_path / "worker.log"

    def start(*, wait: bool = True, app: str = "worker", **variables: str) -> Shop:
        env = {**environment, **{f"{PREFIX}{name}": value for name, value in variables.items()}}
        command = [sys.executable, "-m", "celery", "-A", app, "worker", "-P", "threads"]
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603
                [*command, "--without-gossip", "--without-mingle"], env=env, stdout=output, stderr=output
            )
        started.append(process)
        shop = Shop(env[f"{PREFIX}REDIS__URL"], Path(env[f"{PREFIX}DATA_DIR"]), process, log)
        if wait:
            wait_until("the worker serves", lambda: _serves(shop))
        return shop

    yield start
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(10)


def _serves(shop: Shop) -> bool:
    assert shop.process.poll() is None, shop.said()
    owner = read_address(shop.data_dir)
    return owner is not None and owner.pid == shop.process.pid and owner.answers("/readyz")
