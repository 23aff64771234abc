"""The index against a feed: what it lacks, what it knows in an older state, what it should not have."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from recommender.digest import digest_of
from recommender.errors import InvalidEvent
from recommender.events import Upsert, parse_product_event
from worker.audit.census import DELETED, STUB, Census, Flags
from worker.audit.findings import Example, Findings
from worker.audit.kinds import MISSING, ORPHANED, REFUSED, STALE, UPSERT, WITHHELD, Kind
from worker.feeds.open import Feed
from worker.feeds.record import Record

Publish = Callable[[dict[str, Any]], None]
"""Takes a document that the index is to hear of."""


@dataclass(slots=True)
class ComparedFeed:
    """What the feed was like. `named` (P,): products of the census that it names, valid or not.

    `nameless` are records whose id can't be read. `ahead` are products that the index knows in a newer state;
    `made_at` is when the feed was last written to, in seconds since 1970, where its store says so.
    """

    uri: str
    named: Flags
    made_at: float | None
    records: int = 0
    nameless: int = 0
    ahead: int = 0
    not_in_it_yet: int = 0


def compare_feed(
    uri: str,
    feed: Feed,
    census: Census,
    findings: Findings,
    *,
    publish: Publish,
    advance: Callable[[], None],
) -> ComparedFeed:
    """Read the feed to its end and compare each record; `publish` is told of what is missing or stale.

    Raises:
        FeedError: the feed is malformed or cut short.
        TransientError: it changed while it was read, or its store failed; the audit can be made again.
    """
    made_at = None if feed.modified_ms is None else feed.modified_ms / 1000
    compared = ComparedFeed(uri, np.zeros(len(census.products), np.bool_), made_at)
    for record in feed:
        compared.records += 1
        _compare(record, census, findings, compared, publish)
        advance()
    _check_orphans(census, findings, compared)
    return compared


def _compare(
    record: Record, census: Census, findings: Findings, compared: ComparedFeed, publish: Publish
) -> None:
    place = None if record.id is None else census.place(record.id)
    if place is not None:
        compared.named[place] = True
    try:
        event = _parsed(record)
    except InvalidEvent as error:
        compared.nameless += record.id is None
        findings[REFUSED].add(Example(record.id or "", str(record.complaint(error))))
        findings[REFUSED].because(str(error).partition(";")[0][:200])
        return
    assert record.document is not None
    kind = _judge(event, record.document, census, place, compared)
    if kind is None:
        return
    known = None if place is None else int(census.products["version"][place])
    versions = f"version {event.version} in the feed" + ("" if known is None else f", {known} in the index")
    findings[kind].add(Example(event.id, versions, title=event.title))
    if kind.repair is not None:
        publish(record.document)


def _parsed(record: Record) -> Upsert:
    if record.error is not None:
        raise record.error
    event = parse_product_event(UPSERT, record.document)
    assert isinstance(event, Upsert)
    return event


def _judge(
    event: Upsert,
    document: dict[str, Any],
    census: Census,
    place: int | None,
    compared: ComparedFeed,
) -> Kind | None:
    """What is wrong with the index, as far as this record says so."""
    if place is None or census.products["status"][place] == STUB:
        return MISSING
    point = census.products[place]
    if point["status"] == DELETED:
        if event.version > point["version"]:
            return MISSING
        if compared.made_at is not None and point["written_at"] < compared.made_at:
            return WITHHELD
    elif int(digest_of(document), 16) == point["digest"]:
        return None
    elif event.version >= point["version"]:
        return STALE
    compared.ahead += 1
    return None


def _check_orphans(census: Census, findings: Findings, compared: ComparedFeed) -> None:
    """What was written after the feed was made may not be in it yet."""
    orphaned = census.live & ~compared.named
    if compared.made_at is not None:
        older = census.products["written_at"] < compared.made_at
        compared.not_in_it_yet = int((orphaned & ~older).sum())
        orphaned &= older
    for at in np.flatnonzero(orphaned).tolist():
        findings[ORPHANED].add(
            Example(census.ids[at], f"version {census.products['version'][at]} in the index")
        )
