"""A redis-server of the benchmark's own, that writes as the one of `lookalike up` does."""

import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from tests.benchmarks.store import free_port
from worker.die_with_parent import dying_with_parent
from worker.redis_server import find_executable


@contextmanager
def running_redis(folder: Path) -> Iterator[str]:
    """Its URL."""
    port = free_port()
    options = {"port": port, "bind": "127.0.0.1", "dir": folder, "appendonly": "yes", "save": ""}
    flags = [part for name, value in options.items() for part in (f"--{name}", str(value))]
    command = dying_with_parent(
        [find_executable(), *flags, "--logfile", str(folder / "redis.log")], signal.SIGKILL
    )
    process = subprocess.Popen(command)
    try:
        with redis.Redis(port=port) as client:
            _wait(client)
        yield f"redis://127.0.0.1:{port}/0"
    finally:
        process.kill()
        process.wait()


def _wait(client: "redis.Redis") -> None:
    for _ in range(200):
        try:
            client.ping()
        except redis.ConnectionError:
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("redis-server does not answer")
