"""A Celery worker whose Redis goes away and comes back: what was in hand is neither lost nor run twice."""

import os
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import redis
from celery import Celery

APP = """
import os, time
from pathlib import Path
from celery import Celery
from kombu import Exchange, Queue
from redis import Redis
from worker.deliveries import Deliveries
from worker.in_hand import InHand

app = Celery("held", broker=os.environ["BROKER"])
app.conf.update(
    broker_transport="worker.transport:Transport",
    broker_transport_options={"visibility_timeout": 5, "unacked_restore_interval": 1, "in_hand": InHand(),
                              "socket_timeout": 2, "queue_order": ("products", "quarantine")},
    broker_connection_retry_on_startup=True, broker_channel_error_retry=True, task_ignore_result=True,
    task_queues=[Queue(name, Exchange(""), routing_key=name) for name in ("products", "quarantine")],
    task_acks_late=True, worker_prefetch_multiplier=1, worker_enable_remote_control=False,
    worker_cancel_long_running_tasks_on_connection_loss=False,
)
folder = Path(os.environ["FOLDER"])

@app.task(name="hold", bind=True)
def hold(self, name):
    with Redis.from_url(os.environ["BROKER"]) as client:
        Deliveries(client, "").begin(self.request.properties["delivery_tag"])
    with (folder / "begun").open("a") as begun:
        begun.write(f"{name}\\n")
    while not (folder / "go").exists():
        time.sleep(0.02)
    with (folder / "ended").open("a") as ended:
        ended.write(f"{name}\\n")
"""


@pytest.fixture
def worker(tmp_path: Path, redis_server: Any) -> Iterator[Path]:
    """A running worker with four threads; answers its folder."""
    (tmp_path / "held.py").write_text(APP)
    path = os.pathsep.join([str(tmp_path), str(Path.cwd())])
    env = {**os.environ, "BROKER": redis_server.url, "FOLDER": str(tmp_path), "PYTHONPATH": path}
    command = [sys.executable, "-m", "celery", "-A", "held", "worker", "-P", "threads", "-c", "4"]
    with (tmp_path / "log").open("ab") as log:
        process = subprocess.Popen(  # noqa: S603
            [*command, "--without-gossip", "--without-mingle"], env=env, cwd=tmp_path, stdout=log, stderr=log
        )
    yield tmp_path
    process.kill()
    process.wait(10)


def names(file: Path) -> Counter[str]:
    return Counter(file.read_text().split()) if file.exists() else Counter()


def send(url: str, name: str, **options: Any) -> None:
    with Celery("shop", broker=url, set_as_current=False) as producer:
        producer.send_task("hold", args=[name], queue="products", **options)


@pytest.mark.parametrize("bodies_end", ["while it is away", "after it came back"])
def test_redis_restarts(
    worker: Path, redis_server: Any, wait_for: Callable[[str, Callable[[], Any]], Any], bodies_end: str
) -> None:
    for n in range(2):
        send(redis_server.url, f"held{n}")
    send(redis_server.url, "delayed", countdown=12)
    wait_for("two bodies begin", lambda: names(worker / "begun").total() == 2)
    with redis.Redis.from_url(redis_server.url) as client:
        wait_for("the delayed one is in hand", lambda: client.hlen("unacked") == 3)
    redis_server.kill()
    if bodies_end == "while it is away":
        (worker / "go").touch()
        wait_for("the bodies end", lambda: names(worker / "ended").total() == 2)
    redis_server.start()
    send(redis_server.url, "later")
    wait_for("consuming goes on", lambda: names(worker / "begun")["later"] == 1)
    (worker / "go").touch()
    with redis.Redis.from_url(redis_server.url) as client:
        keys = ("unacked", "unacked_index", "deliveries", "products", "quarantine")
        wait_for("nothing is left", lambda: client.exists(*keys) == 0)
    once = Counter(held0=1, held1=1, delayed=1, later=1)
    assert names(worker / "ended") == names(worker / "begun") == once, (worker / "log").read_text()
