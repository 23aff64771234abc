"""`catalog.reindex`: embed products again with the encoder that serves, a repair; or swap to another one."""

import logging
from collections.abc import Generator, Iterator, Sequence

from pydantic import NonNegativeInt

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
from worker.jobs.book import job_scope
from worker.jobs.steps import Job, Position, run_job
from worker.plan import EMBED
from worker.publish import event_message, publish
from worker.swap.estimate import estimate_job
from worker.swap.job import swap_job, swap_recipe

log = logging.getLogger(__name__)


class ScrollPosition(Position):
    """How many products were published, and where the index's scroll goes on."""

    products: NonNegativeInt = 0
    cursor: str | None = None
    ended: bool = False


def reindex_job(delivery: Delivery) -> None:
    """Publish the products of the scope to be embedded again, or do a step of a swap to another encoder.

    A part of it, then the message that goes on with the rest.

    Raises:
        InvalidEvent: the arguments are wrong, or name a scope and another encoder than the one that serves.
        TransientError: the index or the broker failed; this step may be tried again.
    """
    if delivery.args:
        raise InvalidEvent("", "expected keyword arguments: encoder=NAME or null, scope=SCOPE or null")
    wanted = parse_catalog_job(delivery.type, delivery.kwargs)
    assert isinstance(wanted, Reindex)
    if wanted.dry_run:
        estimate_job(delivery, wanted)
        return
    recipe = swap_recipe(delivery, wanted)
    if recipe is None:
        _repair(delivery, wanted)
    else:
        swap_job(delivery, wanted, recipe)


def _repair(delivery: Delivery, wanted: Reindex) -> None:
    index = delivery.runtime.resources.index

    def work(position: ScrollPosition, job: Job) -> Generator[ScrollPosition, None, None]:
        job.phase("publishing", None if position.products else _total(wanted, index))
        for ids, following in _pages(wanted, index, position):
            if ids:
                publish(delivery.app, event_message(EMBED, [{"id": product} for product in ids], BULK))
            job.done(following.products)
            job.report["published"] = following.products
            yield following
            position = following
        log.info("reindex_published", extra={"products": position.products, "encoder": index.fingerprint})

    run_job(delivery, job_scope(wanted), ScrollPosition(), work)


def _total(job: Reindex, index: ProductIndex) -> int:
    if isinstance(job.scope, IdsScope):
        return len(job.scope.ids)
    return index.count(_filter(job))


def _filter(job: Reindex) -> Filter:
    return Filter(category=(job.scope.category,)) if isinstance(job.scope, CategoryScope) else Filter()


Pages = Iterator[tuple[list[str], ScrollPosition]]
"""The ids of a page, as many as go into one message, and the position after it."""


def _pages(job: Reindex, index: ProductIndex, position: ScrollPosition) -> Pages:
    if isinstance(job.scope, IdsScope):
        yield from _named(job.scope.ids, position)
    else:
        yield from _scrolled(index, _filter(job), position)


def _named(ids: Sequence[str], position: ScrollPosition) -> Pages:
    for start in range(position.products, len(ids), MAX_DOCUMENTS):
        page = list(ids[start : start + MAX_DOCUMENTS])
        yield page, ScrollPosition(products=start + len(page))


def _scrolled(index: ProductIndex, where: Filter, position: ScrollPosition) -> Pages:
    products, cursor = position.products, position.cursor
    while not position.ended:
        page = index.scroll(where, limit=MAX_DOCUMENTS, cursor=cursor)
        products, cursor = products + len(page.products), page.cursor
        position = ScrollPosition(cursor=cursor, products=products, ended=cursor is None)
        yield [stored.id for stored in page.products], position
