"""`catalog.refresh`: publish every product of a feed; what the index holds already costs little."""

import json
import logging
import time
from collections.abc import Generator, Iterable
from dataclasses import replace
from typing import Any

from pydantic import NonNegativeInt

from recommender.errors import InvalidEvent
from recommender.events import MAX_DOCUMENTS, Refresh, Upsert, parse_catalog_job, parse_product_event
from worker.celery import BULK, SCHEDULED_REFRESH
from worker.delivery import Delivery
from worker.jobs.book import job_scope
from worker.jobs.dead_letters import DeadLetter
from worker.jobs.feed import Line, Place, open_feed
from worker.jobs.first import DAY_S, first_to_come
from worker.jobs.steps import Job, Position, run_job
from worker.publish import batches, event_message, publish

log = logging.getLogger(__name__)
UPSERT = "products.upsert"
REFRESH = "catalog.refresh"


class FeedPosition(Position):
    """A place between two lines of one state of the feed, and what the lines before it were."""

    etag: str = ""
    offset: NonNegativeInt = 0
    line: NonNegativeInt = 0
    products: NonNegativeInt = 0
    bad_lines: NonNegativeInt = 0


def refresh_job(delivery: Delivery) -> None:
    """Publish the feed that the message names."""
    if delivery.args:
        raise InvalidEvent("", "expected keyword arguments: feed=URI")
    job = parse_catalog_job(delivery.type, delivery.kwargs)
    assert isinstance(job, Refresh)
    publish_feed(delivery, job.feed)


def scheduled_refresh_job(delivery: Delivery) -> None:
    """Publish the feed of the settings, unless another schedule's message has this period's slot.

    Only a message that is new needs a slot. What was tried before has had its own, and a dead letter that is
    replayed needs none: it counts its attempts on, and somebody asked for it.
    """
    feed = delivery.runtime.settings.feed.scheduled
    if feed is None:
        raise InvalidEvent("feed", "LOOKALIKE_FEED__SCHEDULED is not set")
    is_new = delivery.attempts == 0 and delivery.cursor is None
    if not is_new or _has_slot(delivery):
        # As what it is from here on, so that it and whoever else asks for this feed share one job.
        publish_feed(replace(delivery, type=REFRESH, kwargs={"feed": feed}), feed)


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


def publish_feed(delivery: Delivery, uri: str) -> None:
    """Publish a part of a feed's products to `bulk`, then the message that goes on with the rest.

    A bad line becomes a dead letter that names it.

    Raises:
        FeedError: the feed is not allowed, missing or not readable.
        TransientError: the object store or the broker failed; this step may be tried again.
    """

    def work(position: FeedPosition, job: Job) -> Generator[FeedPosition, None, None]:
        job.phase("publishing")
        runtime = delivery.runtime
        place = Place(position.etag, position.offset, position.line)
        with open_feed(uri, runtime.settings, runtime.resources.source, place) as lines:
            for batch in batches(lines, lambda line: len(line.text), MAX_DOCUMENTS):
                position = _publish(delivery, uri, batch, position)
                job.done(position.line)
                job.report.update(products=position.products, bad_lines=position.bad_lines)
                yield position
        extra = {"feed": uri, "products": position.products, "bad_lines": position.bad_lines}
        log.info("feed_published", extra=extra)

    run_job(delivery, job_scope(Refresh(feed=uri)), FeedPosition(), work)


def _publish(delivery: Delivery, uri: str, lines: Iterable[Line], before: FeedPosition) -> FeedPosition:
    """Publish what these lines hold; returns the position after them."""
    documents: list[dict[str, Any]] = []
    letters: list[DeadLetter] = []
    for line in lines:
        if line.text.strip():
            try:
                documents.append(parse_line(line.text))
            except InvalidEvent as error:
                named = InvalidEvent(error.field, f"{uri} line {line.number}: {error}")
                letters.append(DeadLetter.of(UPSERT, line.text.decode(errors="replace"), named))
        after = line.after
    if documents:
        publish(delivery.app, event_message(UPSERT, documents, BULK))
    delivery.runtime.dead_letters.add(letters)
    fresh = before.etag != after.etag  # it changed, and is read from its start
    return FeedPosition(
        etag=after.etag,
        offset=after.offset,
        line=after.line,
        products=len(documents) + (0 if fresh else before.products),
        bad_lines=len(letters) + (0 if fresh else before.bad_lines),
    )


def parse_line(line: bytes) -> dict[str, Any]:
    """One line of a feed, validated: a product document.

    Raises:
        InvalidEvent: it is no JSON, or breaks the wire format.
    """
    try:
        document = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise InvalidEvent("", f"not JSON: {error}") from error
    event = parse_product_event(UPSERT, document)
    assert isinstance(event, Upsert)
    return dict(document)
