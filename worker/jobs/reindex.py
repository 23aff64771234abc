"""`catalog.reindex`: embed products again with the encoder that serves; a repair, through `bulk`."""

import logging
from collections.abc import Iterator

from recommender.catalog import Filter
from recommender.errors import InvalidEvent
from recommender.events import (
    MAX_DOCUMENTS,
    CategoryScope,
    IdsScope,
    Reindex,
    parse_catalog_job,
)
from recommender.index.protocol import ProductIndex
from worker.celery import BULK
from worker.delivery import Delivery
from worker.plan import EMBED
from worker.publish import event_message, publish

log = logging.getLogger(__name__)


def reindex_job(delivery: Delivery) -> None:
    """Publish the products of the scope to be embedded again.

    Raises:
        InvalidEvent: the arguments are wrong, or name another encoder than the one that serves.
        TransientError: the index or the broker failed; starting over is safe.
    """
    if delivery.args:
        raise InvalidEvent("", "expected keyword arguments: encoder=NAME or null, scope=SCOPE or null")
    job = parse_catalog_job(delivery.type, delivery.kwargs)
    assert isinstance(job, Reindex)
    resources = delivery.runtime.resources
    serving = resources.encoder.spec.name
    if job.encoder not in (None, serving):
        raise InvalidEvent(
            "encoder",
            f"{job.encoder} is not the encoder that serves ({serving}); an index holds the vectors of one: "
            f"start workers with LOOKALIKE_ENCODER__NAME={job.encoder} and a LOOKALIKE_CATALOG of their own",
        )
    published = 0
    for ids in _pages(job, resources.index):
        publish(delivery.app, event_message(EMBED, [{"id": product} for product in ids], BULK))
        published += len(ids)
    log.info("reindex_published", extra={"products": published, "encoder": serving})


def _pages(job: Reindex, index: ProductIndex) -> Iterator[list[str]]:
    """The ids of the scope, as many as go into one message at a time."""
    if isinstance(job.scope, IdsScope):
        ids = job.scope.ids
        for start in range(0, len(ids), MAX_DOCUMENTS):
            yield list(ids[start : start + MAX_DOCUMENTS])
        return
    where = Filter(category=(job.scope.category,)) if isinstance(job.scope, CategoryScope) else Filter()
    cursor = None
    while True:
        page = index.scroll(where, limit=MAX_DOCUMENTS, cursor=cursor)
        if page.products:
            yield [stored.id for stored in page.products]
        cursor = page.cursor
        if cursor is None:
            return
