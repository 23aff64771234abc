"""What Celery and Redis cost: the shipped worker with a body that does nothing."""

import itertools
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.settings import PREFIX
from tests.benchmarks.redis_server import running_redis
from tests.benchmarks.result import Result
from tests.benchmarks.scene import Scene
from tests.benchmarks.stack import MESSAGE, Ours, environment_of
from worker.die_with_parent import dying_with_parent
from worker.owner import read_address
from worker.up import WORKER, Stack

MESSAGES = 64
_READY_S = 120


def run(scene: Scene) -> Result:
    """The row `queue`: full messages that are claimed, begun, and acknowledged."""
    result = scene.result("queue")
    data_dir = scene.data_dir()
    with running_redis(data_dir) as url, _worker(scene, data_dir, url) as ours:
        keys = itertools.cycle(scene.pictures.keys[scene.sides[0]])
        ours.run(ours.upserts(keys, MESSAGE, "warm"))
        for number in range(scene.rounds):
            run = ours.run(ours.upserts(keys, MESSAGES * MESSAGE, f"{number}"))
            figure = result.figure("queue", f"{MESSAGES} messages of {MESSAGE} products", unit="products/s")
            figure.values.append(run.products / run.seconds)
    return result


@contextmanager
def _worker(scene: Scene, data_dir: Path, url: str) -> Iterator[Ours]:
    environment = environment_of(scene.model("compact").as_options(), scene.store.endpoint_url, data_dir)
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
