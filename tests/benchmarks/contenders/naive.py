"""The naive Celery worker, paused while others are measured, its messages in Redis before it goes on."""

import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import redis
from celery import Celery

from tests.benchmarks.redis_server import running_redis
from worker.die_with_parent import dying_with_parent

TASK, QUEUE = "naive.embed", "naive"
_WARM_UP = 32
_GIVE_UP_S = 120


@contextmanager
def opened(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """Options: those of our encoder, `endpoint_url`, `keys` by longer side, `workers` (threads)."""
    scratch = Path(tempfile.mkdtemp())
    keys = {side: cycle(names) for side, names in options["keys"].items()}
    with running_redis(scratch) as url:
        told = json.dumps({**options, "keys": None, "redis_url": url, "folder": str(scratch)})
        command = [
            sys.executable,
            "-W",
            "ignore",
            "-m",
            "celery",
            "--quiet",
            "-A",
            "tests.benchmarks.naive_app",
        ]
        command += ["worker", "-P", "threads", "-c", str(options["workers"]), "-l", "WARNING"]
        command += ["--without-gossip", "--without-mingle", "--without-heartbeat"]
        process = subprocess.Popen(
            dying_with_parent(command, signal.SIGKILL), env={**os.environ, "BENCH_NAIVE": told}
        )
        client = redis.Redis.from_url(url)
        producer = Celery("bench", broker=url, set_as_current=False)

        def run(names: list[str]) -> float:
            for name in names:
                producer.send_task(TASK, args=[name], queue=QUEUE)
            process.send_signal(signal.SIGCONT)
            took = _until_done(client, process)
            process.send_signal(signal.SIGSTOP)
            return took

        def answer(request: dict[str, Any]) -> float:
            """Images/s over `count` messages, from the worker's going on to the last acknowledgement."""
            names = list(islice(keys[str(request["px"])], request["count"]))
            return len(names) / run(names)

        run(list(islice(keys[next(iter(keys))], _WARM_UP)))
        try:
            yield answer
        finally:
            process.kill()
            process.wait()
    shutil.rmtree(scratch, ignore_errors=True)


def _until_done(client: "redis.Redis", process: "subprocess.Popen[bytes]") -> float:
    started = time.perf_counter()
    while time.perf_counter() - started < _GIVE_UP_S:
        if process.poll() is not None:
            raise RuntimeError(f"the naive worker ended with {process.returncode}")
        with client.pipeline() as pipe:
            waiting, in_hand = pipe.llen(QUEUE).hlen("unacked").execute()
        if not waiting and not in_hand:
            return time.perf_counter() - started
        time.sleep(0.02)
    raise RuntimeError(f"the naive worker did not finish in {_GIVE_UP_S} s")
