"""What Celery and Redis cost: the shipped worker with a body that does nothing, asleep between its runs."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from config.settings import PREFIX
from tests.benchmarks.redis_server import running_redis
from tests.benchmarks.stack import Ours, environment_of
from worker.die_with_parent import dying_with_parent
from worker.owner import read_address
from worker.up import WORKER, Stack

_READY_S = 120


@contextmanager
def running_empty_body(encoder: Mapping[str, Any], endpoint_url: str, data_dir: Path) -> Iterator[Ours]:
    """Start it with a Redis of its own, and leave it paused: messages are claimed, begun, acknowledged."""
    with running_redis(data_dir) as url, _worker(encoder, endpoint_url, data_dir, url) as ours:
        yield ours


@contextmanager
def _worker(encoder: Mapping[str, Any], endpoint_url: str, data_dir: Path, url: str) -> Iterator[Ours]:
    environment = environment_of(encoder, endpoint_url, data_dir)
    environment |= {f"{PREFIX}REDIS__URL": url, f"{PREFIX}DATA_DIR": str(data_dir)}
    command = [sys.executable, "-m", "celery", "--quiet", "-A", "tests.benchmarks.noop_worker", *WORKER]
    with (data_dir / "up.log").open("ab") as log:
        process = subprocess.Popen(
            dying_with_parent(command, signal.SIGKILL), env=os.environ | environment, stdout=log, stderr=log
        )
    try:
        deadline = time.monotonic() + _READY_S
        while (owner := read_address(data_dir)) is None or not owner.answers("/readyz"):
            if process.poll() is not None or time.monotonic() > deadline:
                raise RuntimeError(f"the worker does not start: see {data_dir}/up.log")
            time.sleep(0.1)
        ours = Ours(Stack(owner.url, owner.redis_url, owner.token), data_dir)
        ours.pause()
        yield ours
        ours.close()
    finally:
        process.kill()
        process.wait()
