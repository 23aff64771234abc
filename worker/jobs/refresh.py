"""`catalog.refresh`: publish every product of a feed; what the index holds already costs little."""

import logging
import time
from collections.abc import Generator, Sequence
from typing import Any

from pydantic import NonNegativeInt

from recommender.errors import InvalidEvent
from recommender.events import MAX_DOCUMENTS, Refresh, parse_catalog_job, parse_product_event
from worker.celery import BULK, SCHEDULED_REFRESH
from worker.delivery import Delivery
from worker.feeds.open import open_feed
from worker.feeds.record import Place, Record
from worker.jobs.dead_letters import DeadLetter
from worker.jobs.first import DAY_S, first_to_come
from worker.jobs.steps import Position, run_step
from worker.publish import batches, event_message, publish

log = logging.getLogger(__name__)
UPSERT = "products.upsert"


class FeedPosition(Position):
    """A place in the feed, and what the records before it were."""

    place: Place = Place()
    products: NonNegativeInt = 0
    bad_records: NonNegativeInt = 0


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
        publish_feed(delivery, feed)


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

    A bad record becomes a dead letter that names it.

    Raises:
        FeedError: the feed is not allowed, missing or not readable.
        TransientError: the object store or the broker failed; this step may be tried again.
    """

    def work(position: FeedPosition) -> Generator[FeedPosition, None, None]:
        runtime = delivery.runtime
        with open_feed(uri, runtime.settings, runtime.resources.source, position.place) as feed:
            if feed.start != position.place:
                position = FeedPosition(place=feed.start)
            for batch in batches(feed, lambda record: record.size_bytes, MAX_DOCUMENTS):
                position = _publish(delivery, batch, position)
                yield position
        extra = {"feed": uri, "products": position.products, "bad_records": position.bad_records}
        log.info("feed_published", extra=extra)

    run_step(delivery, FeedPosition(), work)


def _publish(delivery: Delivery, records: Sequence[Record], before: FeedPosition) -> FeedPosition:
    """Publish what these records hold; returns the position after them."""
    documents: list[dict[str, Any]] = []
    letters: list[DeadLetter] = []
    for record in records:
        try:
            documents.append(_validated(record))
        except InvalidEvent as error:
            letters.append(DeadLetter.of(UPSERT, record.text, record.complaint(error)))
    if documents:
        publish(delivery.app, event_message(UPSERT, documents, BULK))
    delivery.runtime.dead_letters.add(letters)
    return FeedPosition(
        place=records[-1].after,
        products=before.products + len(documents),
        bad_records=before.bad_records + len(letters),
    )


def _validated(record: Record) -> dict[str, Any]:
    if record.document is None:
        assert record.error is not None
        raise record.error
    parse_product_event(UPSERT, record.document)
    return record.document
