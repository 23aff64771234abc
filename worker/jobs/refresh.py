"""`catalog.refresh`: publish every product of a feed; what the index holds already costs little."""

import json
import logging
import time
from collections.abc import Iterator
from itertools import islice
from typing import Any

from recommender.errors import InvalidEvent
from recommender.events import MAX_DOCUMENTS, Refresh, Upsert, parse_catalog_job, parse_product_event
from worker.broker import broker_errors
from worker.celery import BULK, SCHEDULED_REFRESH
from worker.delivery import Delivery
from worker.jobs.dead_letters import DeadLetter
from worker.jobs.feed import open_feed
from worker.publish import event_message, publish

log = logging.getLogger(__name__)
UPSERT = "products.upsert"


def refresh_job(delivery: Delivery) -> None:
    """Publish the feed that the message names."""
    if delivery.args:
        raise InvalidEvent("", "expected keyword arguments: feed=URI")
    job = parse_catalog_job(delivery.type, delivery.kwargs)
    assert isinstance(job, Refresh)
    publish_feed(delivery, job.feed)


def scheduled_refresh_job(delivery: Delivery) -> None:
    """Publish the feed of the settings, unless another schedule's message has this period's slot.

    Any number of schedules may run. A slot belongs to the message that claimed it, so that the same
    message, delivered or published again, goes on.
    """
    settings = delivery.runtime.settings
    if settings.feed.scheduled is None:
        raise InvalidEvent("feed", "LOOKALIKE_FEED__SCHEDULED is not set")
    slot = int(time.time() // settings.feed.every_s)
    key = f"{settings.catalog}:{SCHEDULED_REFRESH}:{slot}"
    with broker_errors():
        client = delivery.runtime.redis
        # SET NX GET in one is for Redis 7 and newer.
        claimed = client.set(key, delivery.id, nx=True, ex=int(settings.feed.every_s * 2))
        owner = delivery.id if claimed else client.get(key)
    if owner != delivery.id:
        log.info("refresh_skipped", extra={"slot": slot, "owner": owner})
        return
    publish_feed(delivery, settings.feed.scheduled)


def publish_feed(delivery: Delivery, uri: str) -> None:
    """Publish a feed's products to `bulk`; its bad lines become dead letters that name the line.

    Raises:
        FeedError: the feed is not allowed, missing or not readable.
        TransientError: the object store or the broker failed; reading it again from the start is safe.
    """
    runtime = delivery.runtime
    letters: list[DeadLetter] = []
    published = buried = 0
    documents = _documents(delivery, uri, letters)
    while True:
        batch = list(islice(documents, MAX_DOCUMENTS))
        if batch:
            publish(delivery.app, event_message(UPSERT, batch, BULK))
        runtime.dead_letters.add(letters)
        published, buried = published + len(batch), buried + len(letters)
        letters.clear()
        if not batch:
            break
    log.info("feed_published", extra={"feed": uri, "products": published, "bad_lines": buried})


def _documents(delivery: Delivery, uri: str, letters: list[DeadLetter]) -> Iterator[dict[str, Any]]:
    """The good lines; the bad ones go to `letters`."""
    runtime = delivery.runtime
    for number, line in enumerate(open_feed(uri, runtime.settings, runtime.resources.source), start=1):
        if not line.strip():
            continue
        try:
            document = parse_line(line)
        except InvalidEvent as error:
            named = InvalidEvent(error.field, f"{uri} line {number}: {error}")
            letters.append(DeadLetter.of(UPSERT, line.decode(errors="replace"), named))
            continue
        yield document


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
