"""One audit from beginning to end: the census, then whatever it can be compared with."""

import time
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Protocol

import numpy as np

from config.settings import Settings
from recommender.copies import block_count
from recommender.images.source import ImageSource
from recommender.looks import Looks
from worker.audit import kinds
from worker.audit.buckets import Listed, check_buckets, list_images
from worker.audit.census import Ask, Census, pages, read_census
from worker.audit.feed import ComparedFeed, FeedCheck
from worker.audit.findings import Findings
from worker.audit.points import check_rows, check_stubs, check_tombstones, check_visible
from worker.audit.repair import Repair
from worker.audit.shared import check_alike, check_shared
from worker.feeds.open import open_feed
from worker.hashes import Hashes

DAY_S = 86400
NO_FEED = "the index against a feed: give --feed URI, or set LOOKALIKE_FEED__SCHEDULED"
Progress = Callable[[str, int], AbstractContextManager[Callable[[int], None]]]
"""Shows work of so many steps, and is told of those done."""


class Gathered(Protocol):
    """Every searchable product's rows; `ids[i]` is product i of the looks."""

    @property
    def ids(self) -> tuple[str, ...]:
        """Of the products."""

    @property
    def looks(self) -> Looks:
        """Their rows."""


@dataclass(frozen=True, slots=True)
class Asked:
    """What an audit is to do. `shared_by`: families that may have the same picture."""

    feed: str | None
    shared_by: int
    looks: bool
    examples: int


@dataclass(frozen=True, slots=True)
class Means:
    """What an audit works with. `gather` reads all rows; without `repair` it only looks."""

    settings: Settings
    ask: Ask
    gather: Callable[[], Gathered]
    source: ImageSource
    progress: Progress
    repair: Repair | None = None


@dataclass(frozen=True, slots=True)
class Audit:
    """An audit that is done. `began_at` is in seconds since 1970."""

    census: Census
    findings: Findings
    listed: Listed
    compared: ComparedFeed | None
    began_at: float
    took_s: float
    repair: Repair | None


def audit(asked: Asked, means: Means) -> Audit:
    """Look at everything, and publish what mends it where that is asked for. Blocks for minutes.

    Raises:
        FeedError: the feed is not allowed, missing or malformed.
        TransientError: the API, a store or the broker failed, or the feed changed; it can be made again.
    """
    began_at, started = time.time(), time.monotonic()
    findings = Findings(asked.examples)
    findings.look_for(*(kinds.OF_THE_FEED if asked.feed else ()), *kinds.OF_BUCKETS, *kinds.OF_THE_INDEX)
    census = _read(means)
    listed = _list(means, census, findings)
    compared = _compare(asked, means, census, findings)
    check_rows(census, findings)
    check_buckets(census, listed, findings)
    check_visible(census, findings, listed.gone & (census.images["row"] >= 0))
    check_stubs(census, findings, compared)
    pictures = check_shared(census, listed, findings, asked.shared_by)
    _look(asked, means, census, pictures, findings)
    check_tombstones(census, findings, began_at - means.settings.index.tombstone_days * DAY_S)
    if means.repair is not None:
        means.repair.finish(census, findings, compared)
    took_s = time.monotonic() - started
    return Audit(census, findings, listed, compared, began_at, took_s, means.repair)


def _read(means: Means) -> Census:
    found = pages(means.ask)
    first = next(found)

    def all_pages() -> Iterator[dict[str, object]]:
        yield first
        yield from found

    with means.progress("reading", first["total"]) as advance:
        return read_census(all_pages(), advance)


def _list(means: Means, census: Census, findings: Findings) -> Listed:
    with means.progress("listing", int(census.images_of_live.sum())) as advance:
        return list_images(census, means.source, findings, advance)


def _compare(asked: Asked, means: Means, census: Census, findings: Findings) -> ComparedFeed | None:
    if asked.feed is None:
        findings.not_looked_at.append(NO_FEED)
        return None
    publish = means.repair.upsert if means.repair is not None else lambda _: None
    with (
        open_feed(asked.feed, means.settings, means.source) as feed,
        means.progress("feed bytes", feed.size_bytes or 0) as advance,
    ):
        made_at = None if feed.modified_ms is None else feed.modified_ms / 1000
        compared = ComparedFeed(asked.feed, np.zeros(len(census.products), np.bool_), made_at)
        check = FeedCheck(compared, census, findings, publish=publish, ask=means.ask)
        read_bytes = 0
        for record in feed:
            check.take(record)
            advance(feed.read_bytes - read_bytes)
            read_bytes = feed.read_bytes
        check.finish()
    return compared


def _look(asked: Asked, means: Means, census: Census, pictures: Hashes, findings: Findings) -> None:
    """Compare all pictures with all others, where that is asked for and there are any."""
    if not asked.looks:
        findings.not_looked_at.append("placeholders that were saved as several files: give --looks")
        return
    findings.look_for(kinds.ALIKE)
    if not (census.images["row"] >= 0).any():
        return
    gathered = means.gather()
    with means.progress("comparing", block_count(gathered.looks)) as advance:
        check_alike(
            census,
            gathered.looks,
            gathered.ids,
            pictures,
            findings=findings,
            more_than=asked.shared_by,
            advance=advance,
        )
