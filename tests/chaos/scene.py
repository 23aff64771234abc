"""Where a row plays: a broker, an object store, an embedded index, and workers that come and go."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import redis

from tests.chaos import record
from tests.chaos.object_store import ObjectStore
from tests.chaos.servers import RedisServer, free_port, members
from worker.die_with_parent import dying_with_parent

QUEUES = ("products", "catalog", "bulk", "quarantine")
LETTERS = "lookalike:dead-letters"
START_WITHIN_S = 120.0


def wait_until(what: str, check: Callable[[], Any], within_s: float = START_WITHIN_S) -> Any:
    """Poll until `check` answers something true.

    Raises:
        TimeoutError: it did not.
    """
    deadline = time.monotonic() + within_s
    while time.monotonic() < deadline:
        if found := check():
            return found
        time.sleep(0.05)
    raise TimeoutError(f"not within {within_s:.0f} s: {what}")


@dataclass
class Worker:
    """One worker, the leader of a process group of its own."""

    process: "subprocess.Popen[bytes]"

    @property
    def pid(self) -> int:
        return self.process.pid

    def kill(self) -> None:
        """SIGKILL to it and its children, as a machine that goes away takes them all."""
        os.killpg(self.pid, signal.SIGKILL)
        self.process.wait()

    def stop(self, within_s: float = 90) -> int:
        """SIGTERM; returns the exit code."""
        self.process.send_signal(signal.SIGTERM)
        return self.process.wait(within_s)

    def orphans(self) -> list[int]:
        """What is left of its group a moment after its end."""
        for _ in range(20):
            if not (left := members(self.pid)):
                break
            time.sleep(0.1)
        return left


@dataclass
class Scene:
    """What a row acts on."""

    folder: Path
    broker: RedisServer
    record: record.Record
    store: ObjectStore
    environment: Mapping[str, str]
    api: httpx.Client
    """Of the public API, which the worker serves; any thread may use it."""
    _workers: list[Worker] = field(default_factory=list)

    @property
    def log(self) -> Path:
        """What the workers said, one after the other."""
        return self.folder / "worker.log"

    def start_worker(self, *, wait: bool = False) -> Worker:
        """Start one; `wait` until it serves."""
        command = [sys.executable, "-m", "tests.chaos.worker_app", "-q", "worker", "-P", "threads"]
        command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        with self.log.open("ab") as output:
            process = subprocess.Popen(
                dying_with_parent(command, signal.SIGKILL),
                env=dict(self.environment),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        worker = Worker(process)
        self._workers.append(worker)
        if wait:
            wait_until("the worker serves", lambda: self.serves(worker))
        return worker

    def serves(self, worker: Worker | None = None) -> bool:
        """Whether the API answers; a worker that is named must not have ended."""
        if worker is not None and (code := worker.process.poll()) is not None:
            raise RuntimeError(f"the worker ended with {code}: {self.said()}")
        try:
            return self.api.get("/readyz").is_success
        except httpx.TransportError:
            return False

    def first_ended(self, worker: Worker) -> float | None:
        """When the first body of this worker ended; it must not have ended itself."""
        if (code := worker.process.poll()) is not None:
            raise RuntimeError(f"the worker ended with {code}: {self.said()}")
        return self.record.first_ended(worker.pid)

    def shows(self, identity: str) -> bool:
        """Whether a product is found."""
        try:
            return self.api.get(f"/v1/products/{identity}").is_success
        except httpx.TransportError:
            return False

    def said(self) -> str:
        """The end of the workers' log."""
        return self.log.read_text(errors="replace")[-4000:]

    @contextmanager
    def broker_client(self) -> Iterator["redis.Redis"]:
        with redis.Redis.from_url(
            self.broker.url, decode_responses=True, encoding_errors="replace"
        ) as client:
            yield client

    def letters(self) -> list[dict[str, str]]:
        """All dead letters, oldest first."""
        with self.broker_client() as client:
            entries: Any = client.xrange(LETTERS)
        return [fields for _, fields in entries]

    def waiting(self) -> int:
        """Messages in the queues or in hand."""
        with self.broker_client() as client:
            return int(sum(client.llen(queue) for queue in QUEUES) + client.hlen("unacked"))

    def end_workers(self) -> None:
        """Kill what runs."""
        for worker in self._workers:
            if worker.process.poll() is None:  # else its number may be another's by now
                worker.kill()


@contextmanager
def scene(*, fsync: str = "everysec", **variables: str) -> Iterator[Scene]:
    """An empty shop; `variables` are settings without their prefix, or names of the harness's own."""
    with ExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="chaos-", ignore_cleanup_errors=True)))
        servers = RedisServer(folder / "broker", fsync), RedisServer(folder / "record", None)
        for server in servers:
            stack.callback(server.kill)
            server.start()
        broker, notes = servers
        client = stack.enter_context(record.connect(notes.url))
        store = ObjectStore()
        stack.callback(store.close)
        port = free_port()
        environment = _environment(folder, broker.url, notes.url, store, port) | variables
        # One client for all: making one takes longer than what it asks.
        url = f"http://127.0.0.1:{port}"
        api = stack.enter_context(httpx.Client(base_url=url, timeout=30, trust_env=False))
        made = Scene(folder, broker, record.Record(client), store, environment, api)
        stack.callback(made.end_workers)
        yield made


def _environment(folder: Path, broker: str, notes: str, store: ObjectStore, port: int) -> dict[str, str]:
    ours = {
        "DATA_DIR": str(folder / "data"),
        "REDIS__URL": broker,
        "S3__ENDPOINT_URL": store.url,
        "S3__BUCKETS": f'["{store.BUCKET}"]',
        "S3__TIMEOUT_S": "5",
        "API__PORT": str(port),
        "WORKER__RETRY_DELAY_S": "0.2",
        "LOG__FORMAT": "json",
        "LOG__LEVEL": "WARNING",
    }
    inherited = {
        name: value for name, value in os.environ.items() if not name.startswith(("AWS_", "LOOKALIKE_"))
    }
    return {
        **inherited,
        **{f"LOOKALIKE_{name}": value for name, value in ours.items()},
        "AWS_ACCESS_KEY_ID": "chaos",
        "AWS_SECRET_ACCESS_KEY": "chaos",
        "AWS_EC2_METADATA_DISABLED": "true",
        "OMP_NUM_THREADS": "1",
        record.URL: notes,
    }
