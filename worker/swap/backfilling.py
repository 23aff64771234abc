"""Filling the new collection: the backfill, and the proof that nothing is missing."""

from collections.abc import Iterator, Sequence
from typing import Any

from recommender.errors import JobStopped
from worker.broker import broker_errors
from worker.celery import BULK
from worker.plan import BACKFILL
from worker.publish import event_message, publish
from worker.swap.containment import behind
from worker.swap.position import LOOK_S, Parts, Swap, SwapPosition

MESSAGE_PRODUCTS = 64
"""Fewer than a message may hold, so that a worker that is killed repeats little."""
PAGE = 256
EMPTY_LOOKS = 5
"""Looks at an empty queue after which the comparison begins: it finds whatever is still in hand."""
TRIES = 10
"""How often what stays behind is published again, after the queue was empty."""
AGAIN_S = 2.0
AGAIN_AT_MOST_S = 60.0
"""Pauses grow from the one to the other: what failed for a passing reason waits, too, in a worker's hands."""


def backfill(swap: Swap, place: SwapPosition) -> Parts:
    """Publish all points of the old collection, tombstones and stubs too, and wait until they are through."""
    swap.job.phase("backfilling", _points(swap, place.old))
    at = place
    for at, ids in _walk(swap, place):
        _publish(swap, ids)
        swap.job.done(_points(swap, place.new))
        yield at
    while at.tries < EMPTY_LOOKS and _points(swap, place.new) < _points(swap, place.old):
        swap.job.done(_points(swap, place.new))
        swap.job.wait(LOOK_S)
        at = at.to(tries=at.tries + 1 if _queued(swap) == 0 else 0)
        yield at
    swap.job.done(_points(swap, place.new))
    yield swap.enter(place, "catching-up")


def catch_up(swap: Swap, place: SwapPosition) -> Parts:
    """Compare every product of the two, and bring in again what is behind, until each was seen not to be."""
    swap.job.phase("catching-up", _points(swap, place.old))
    if not place.begun and place.cursor is None:
        with broker_errors():
            swap.runtime.redis.delete(_key(swap))
    at = place
    for at, ids in _walk(swap, place):
        if late := behind(swap.pair(place.old).index, swap.pair(place.new).index, ids):
            with broker_errors():
                swap.runtime.redis.sadd(_key(swap), *late)
            _publish(swap, late)
        swap.job.done(at.products)
        with broker_errors():
            count: Any = swap.runtime.redis.scard(_key(swap))
        swap.job.report |= {"compared": at.products, "behind_at_first": int(count)}
        yield at
    yield from _settle(swap, at)


def _settle(swap: Swap, place: SwapPosition) -> Parts:
    while late := _late(swap):
        still = [product for page in _cut(late, PAGE) for product in _behind(swap, place, page)]
        swap.job.report["behind"] = len(still)
        if still and _queued(swap) == 0:
            if place.tries == TRIES:
                raise JobStopped(
                    f"{len(still)} products don't come through, such as {', '.join(still[:3])}: look at "
                    "`lookalike dead-letters list` and the workers' logs, then start the swap again"
                )
            _publish(swap, still)
            place = place.to(tries=place.tries + 1)
        if still:
            swap.job.wait(min(AGAIN_S * 2**place.tries, AGAIN_AT_MOST_S))
        yield place
    yield swap.enter(place, "judging")


def _behind(swap: Swap, place: SwapPosition, ids: Sequence[str]) -> list[str]:
    """Those of a page that are behind still; the others are through for good."""
    still = behind(swap.pair(place.old).index, swap.pair(place.new).index, ids)
    if through := set(ids) - set(still):
        with broker_errors():
            swap.runtime.redis.srem(_key(swap), *through)
    return still


def _walk(swap: Swap, place: SwapPosition) -> Iterator[tuple[SwapPosition, list[str]]]:
    """The old collection page by page: the ids, and the place after them."""
    index = swap.pair(place.old).index
    while not place.begun:
        page = index.census(limit=PAGE, cursor=place.cursor)
        passed = place.products + len(page.entries)
        place = place.to(cursor=page.cursor, products=passed, begun=page.cursor is None)
        yield place, [entry.id for entry in page.entries]


def _publish(swap: Swap, ids: Sequence[str]) -> None:
    for some in _cut(ids, MESSAGE_PRODUCTS):
        documents = [{"id": product, "swap": swap.job.id} for product in some]
        publish(swap.delivery.app, event_message(BACKFILL, documents, BULK))


def _cut(ids: Sequence[str], size: int) -> Iterator[Sequence[str]]:
    return (ids[start : start + size] for start in range(0, len(ids), size))


def _points(swap: Swap, fingerprint: str) -> int:
    return swap.runtime.resources.engine.describe(fingerprint).points


def _queued(swap: Swap) -> int:
    runtime = swap.runtime
    with broker_errors():
        waiting: Any = runtime.redis.llen(f"{runtime.settings.redis.key_prefix or ''}{BULK}")
    return int(waiting)


def _late(swap: Swap) -> list[str]:
    """Those that were behind when they were last looked at."""
    with broker_errors():
        found: Any = swap.runtime.redis.smembers(_key(swap))
    return sorted(found)


def _key(swap: Swap) -> str:
    return f"{swap.runtime.settings.catalog}:swap:behind"
