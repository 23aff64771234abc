"""The naive Celery worker: one image a task, boto3, Pillow, a batch of 1, a one-point upsert.

`celery -A tests.benchmarks.naive_app worker -P threads`, told by the environment variable BENCH_NAIVE.
"""

import json
import os
from functools import cache
from pathlib import Path
from threading import Lock

from celery import Celery, signals

from recommender.encoders.protocol import Encoder
from tests.benchmarks.contenders.encoder import load
from tests.benchmarks.contenders.fetching import Fetch, by_boto3, pillow_input
from tests.benchmarks.plain_index import PlainIndex

OPTIONS = json.loads(os.environ["BENCH_NAIVE"])
TASK, QUEUE = "naive.embed", "naive"
app = Celery("naive", broker=OPTIONS["redis_url"])
app.conf.update(
    task_acks_late=True,
    task_ignore_result=True,
    task_default_queue=QUEUE,
    worker_send_task_events=False,
    broker_connection_retry_on_startup=True,
)
_forward = Lock()


@cache
def parts() -> tuple[Encoder, Fetch, PlainIndex]:
    """Opened once a process."""
    encoder = load(OPTIONS)
    index = PlainIndex(Path(OPTIONS["folder"]) / "index", encoder.spec.dimension)
    return encoder, by_boto3(OPTIONS["endpoint_url"]), index


@signals.worker_init.connect
def open_parts(**_: object) -> None:
    """Before the first message."""
    parts()


@app.task(name=TASK)
def embed(key: str) -> None:
    """One product."""
    encoder, fetch, index = parts()
    pixels = pillow_input(fetch(key), encoder.spec.preprocessing)
    with _forward:
        rows = encoder.encode_images(pixels[None])
    index.upsert([key], rows)
