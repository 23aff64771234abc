"""`python -m tests.chaos.triggers.app worker|beat|stream ...`: the shipped processes, with slots of seconds.

A period of less than a minute is refused by the settings, and a job of 32 lines is one step; so the harness
changes both here, and has every read of a feed name the message that it is made for.
"""

import json
import os
import sys
import time
from threading import local
from typing import Any

import config.settings
from tests.chaos import record
from tests.chaos.triggers.names import BEGUN, FEED_FOR, SENT, SLOT_S

LINES_A_STEP = 8
SCHEDULED = "catalog.scheduled_refresh"

_load_settings = config.settings.load_settings


def _with_short_slots() -> config.settings.Settings:
    settings = _load_settings()
    return settings.model_copy(update={"feed": settings.feed.model_copy(update={"every_s": SLOT_S})})


config.settings.load_settings = _with_short_slots
if "worker" in sys.argv:  # the child that it spawns for images imports this module, too
    from tests.chaos import worker_app

_client = record.connect(os.environ[record.URL])


def _work() -> None:
    from celery import signals  # noqa: PLC0415  # what is changed above must come first

    from recommender.images.s3 import S3Store  # noqa: PLC0415
    from worker.jobs import steps  # noqa: PLC0415
    from worker.refresh import comparing  # noqa: PLC0415

    comparing.PART_RECORDS = LINES_A_STEP
    steps.JOB_STEP_S = 0
    in_hand = local()
    create = S3Store.__init__

    def begin(task: Any, **_: Any) -> None:
        in_hand.id = task.request.id
        if task.name == SCHEDULED:
            _client.rpush(BEGUN, json.dumps([task.request.id, time.time()]))

    def name_message(request: Any, **_: Any) -> None:
        if identity := getattr(in_hand, "id", None):
            request.headers[FEED_FOR] = identity

    def create_and_listen(store: S3Store, *args: Any) -> None:
        create(store, *args)
        for operation in ("HeadObject", "GetObject"):
            store.client.meta.events.register(f"before-sign.s3.{operation}", name_message)

    signals.task_prerun.connect(begin, weak=False)
    S3Store.__init__ = create_and_listen  # type: ignore[assignment,method-assign]
    worker_app.main()


def _beat() -> None:
    from celery import signals  # noqa: PLC0415

    from worker.celery import app  # noqa: PLC0415

    def sent(sender: str, headers: dict[str, Any], **_: Any) -> None:
        if sender == SCHEDULED:
            _client.rpush(SENT, headers["id"])

    app.conf.include = ()  # it sends by name; to import the tasks takes seconds
    signals.after_task_publish.connect(sent, weak=False)
    app.start(argv=sys.argv[1:])


def _stream() -> None:
    from worker import stream  # noqa: PLC0415

    stream.CLAIM_IDLE_MS, stream.UPKEEP_S = 2000, 1
    sys.exit(stream.main())


if __name__ == "__main__":
    {"worker": _work, "beat": _beat, "stream": _stream}[next(a for a in sys.argv[1:] if a != "-q")]()
