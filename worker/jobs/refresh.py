"""`catalog.refresh`: bring the index up to date with a feed by publishing what differs, and nothing else."""

import logging
import time
from collections.abc import Generator, Iterator, Sequence
from dataclasses import replace
from typing import Any

from recommender.errors import InvalidEvent, JobStopped
from recommender.events import MAX_DOCUMENTS, Refresh, parse_catalog_job
from worker.celery import BULK, SCHEDULED_REFRESH
from worker.delivery import Delivery
from worker.jobs.book import job_scope
from worker.jobs.first import DAY_S, first_to_come
from worker.jobs.steps import Job, run_job
from worker.publish import event_message, publish
from worker.refresh.comparing import compare_feed, seen_in
from worker.refresh.listing import list_images
from worker.refresh.notes import Notes, NotesLost
from worker.refresh.position import RefreshPosition
from worker.refresh.report import report_of
from worker.refresh.retiring import retire
from worker.refresh.run import Run, forget
from worker.refresh.scanning import scan

log = logging.getLogger(__name__)
REFRESH = "catalog.refresh"
PHASES = (scan, list_images, compare_feed, retire)


def refresh_job(delivery: Delivery) -> None:
    """Refresh from the feed that the message names."""
    if delivery.args:
        raise InvalidEvent("", "expected keyword arguments: feed=URI")
    job = parse_catalog_job(delivery.type, delivery.kwargs)
    assert isinstance(job, Refresh)
    refresh_from(delivery, job)


def scheduled_refresh_job(delivery: Delivery) -> None:
    """Refresh from the feed of the settings, unless another schedule's message has this period's slot.

    Only a message that is new needs a slot. What was tried before has had its own, and a dead letter that is
    replayed needs none: it counts its attempts on, and somebody asked for it.
    """
    feed = delivery.runtime.settings.feed.scheduled
    if feed is None:
        raise InvalidEvent("feed", "LOOKALIKE_FEED__SCHEDULED is not set")
    is_new = delivery.attempts == 0 and delivery.cursor is None
    if not is_new or _has_slot(delivery):
        # As what it is from here on, so that it and whoever else asks for this feed share one job.
        refresh_from(replace(delivery, type=REFRESH, kwargs={"feed": feed}), Refresh(feed=feed))


def _has_slot(delivery: Delivery) -> bool:
    """Whether this period's slot is this message's, or a former one: it comes again, since its worker died.

    Any number of schedules may run; a slot belongs to the first message to ask, and the message keeps it.
    """
    settings = delivery.runtime.settings
    redis, keep_s = delivery.runtime.redis, max(settings.feed.every_s * 2, DAY_S)
    prefix = f"{settings.catalog}:{SCHEDULED_REFRESH}"
    now = int(time.time() // settings.feed.every_s)
    # In this order: killed in between, the message still knows its slot, and takes it then.
    slot = first_to_come(redis, f"{prefix}:of:{delivery.id}", str(now), keep_s)
    owner = first_to_come(redis, f"{prefix}:{slot}", delivery.id, keep_s)
    if owner != delivery.id:
        log.info("refresh_skipped", extra={"slot": slot, "owner": owner})
    return owner == delivery.id


def refresh_from(delivery: Delivery, asked: Refresh) -> None:
    """Do one step of a refresh.

    Raises:
        FeedError: the feed is not allowed, missing or not readable.
        TransientError: a store, the index or the broker failed; this step may be tried again.
    """

    def work(position: RefreshPosition, job: Job) -> Generator[RefreshPosition, None, None]:
        position = position.to(started_at=position.started_at or time.time())
        while True:
            run = _run(delivery, asked, position, job)
            try:
                for reached in _phases(run, position):
                    position = reached
                    job.report.update(report_of(asked.feed, position))
                    yield position
                break
            except NotesLost as error:
                log.warning("refresh_begun_anew", extra={"feed": asked.feed, "error": str(error)})
                position = RefreshPosition(run=position.run + 1, started_at=position.started_at)
                yield position
            except JobStopped:
                _clear(run, position)
                raise
        _clear(run, position)
        log.info("feed_refreshed", extra=report_of(asked.feed, position))

    run_job(delivery, job_scope(asked), RefreshPosition(), work)


def _phases(run: Run, position: RefreshPosition) -> Iterator[RefreshPosition]:
    for phase in PHASES:
        if position.phase != "ended":
            run.job.phase(position.phase)
        for reached in phase(run, position):
            position = reached
            yield position


def _run(delivery: Delivery, asked: Refresh, position: RefreshPosition, job: Job) -> Run:
    runtime = delivery.runtime
    settings = runtime.settings

    def publish_all(event_type: str, documents: Sequence[dict[str, Any]]) -> None:
        for start in range(0, len(documents), MAX_DOCUMENTS):
            page = list(documents[start : start + MAX_DOCUMENTS])
            publish(delivery.app, event_message(event_type, page, BULK))

    return Run(
        feed=asked.feed,
        max_gone=settings.feed.max_gone if asked.max_gone is None else asked.max_gone,
        settings=settings,
        index=runtime.resources.index,
        source=runtime.resources.source,
        dead_letters=runtime.dead_letters,
        notes=Notes(runtime.redis, f"{settings.catalog}:refresh:{job.id}:{position.run}"),
        job=job,
        publish=publish_all,
    )


def _clear(run: Run, position: RefreshPosition) -> None:
    """What was noted for later steps is needed no longer."""
    run.notes.drop("products", "images", "folders", "listed", seen_in(position))
    forget()
