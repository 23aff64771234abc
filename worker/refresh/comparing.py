"""Third phase: read the feed, publish what differs from what the index knew, note which products it has."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from recommender.catalog import MAX_VERSION
from recommender.digest import digest_of
from recommender.errors import InvalidEvent
from recommender.events import ProductDocument, parse_product_event
from recommender.index.protocol import StoredProduct
from recommender.merge import UNKNOWN, merge
from worker.feeds.open import Feed, open_feed
from worker.feeds.record import Place, Record
from worker.hashes import Hashes, hashes
from worker.jobs.dead_letters import DeadLetter
from worker.plan import EMBED
from worker.publish import batches
from worker.refresh.known import Known, Suspects
from worker.refresh.position import Counts, RefreshPosition
from worker.refresh.run import Run

PART_RECORDS = 1024
UPSERT = "products.upsert"
Read = Callable[[Sequence[str]], Mapping[str, StoredProduct]]
"""Reads what the index holds now."""


def compare_feed(run: Run, position: RefreshPosition) -> Iterator[RefreshPosition]:
    """Publish new and changed products, and those whose images are to be looked at again.

    A bad record becomes a dead letter that names it. The last position, which is only reached at the feed's
    end, is the start of the retirement.

    Raises:
        FeedError: the feed is not allowed, missing, cut short or not readable.
        TransientError: its store, the index or the broker failed; the part may be tried again.
        NotesLost: notes of the phases before are gone.
    """
    if position.phase != "comparing":
        return
    known, suspects = run.known(position), run.suspects(position)
    with open_feed(run.feed, run.settings, run.source, position.place) as feed:
        if position.compared and feed.start != position.place:
            position = _from_the_start(run, position)
        for records in batches(feed, lambda record: record.size_bytes, PART_RECORDS):
            found = compare(records, known, suspects, run.index.read)
            run.publish(UPSERT, found.upserts)
            run.publish(EMBED, [{"id": product, "only_changed": True} for product in found.looked_at])
            run.dead_letters.add(
                [DeadLetter.of(UPSERT, bad.record.text, bad.record.complaint(bad.error)) for bad in found.bad]
            )
            run.notes.put(position.compared, **{seen_in(position): found.seen.tobytes()})
            position = position.to(
                compared=position.compared + 1,
                place=records[-1].after,
                counts=found.added_to(position.counts),
            )
            run.job.phase("comparing", _total(feed, position.counts.records))
            run.job.done(position.counts.records)
            yield position
    yield position.to(phase="retiring")


def _total(feed: Feed, records: int) -> int | None:
    """How many records the feed has, at the size of those that were read."""
    if not feed.size_bytes or not feed.read_bytes:
        return None
    return max(records, round(records * feed.size_bytes / feed.read_bytes))


def seen_in(position: RefreshPosition) -> str:
    """The kind of the notes that say which products the feed has; each reading has its own."""
    return f"seen-{position.reading}"


def _from_the_start(run: Run, position: RefreshPosition) -> RefreshPosition:
    """The feed has changed: what is published again changes nothing, what was seen is to be seen anew."""
    run.notes.drop(seen_in(position))
    counts = position.counts.of_the_index()
    return position.to(reading=position.reading + 1, compared=0, place=Place(), counts=counts)


@dataclass(frozen=True, slots=True)
class Bad:
    """A record that is no product, and why."""

    record: Record
    error: InvalidEvent

    @property
    def reason(self) -> str:
        """What its like have in common: the field and what is wrong with it, without where."""
        return str(self.error).partition(";")[0].partition(": line ")[0][:120]


@dataclass(slots=True)
class Compared:
    """What a part of the feed asks for."""

    seen: Hashes
    records: int
    unchanged: int = 0
    unchanged_images: int = 0
    new: int = 0
    older: int = 0
    upserts: list[dict[str, Any]] = field(default_factory=list)
    looked_at: list[str] = field(default_factory=list)
    bad: list[Bad] = field(default_factory=list)

    def added_to(self, counts: Counts) -> Counts:
        """The counts with this part's."""
        return counts.plus(
            records=self.records,
            new=self.new,
            changed=len(self.upserts) - self.new,
            unchanged=self.unchanged,
            unchanged_images=self.unchanged_images,
            older=self.older,
            looked=len(self.looked_at),
            nameless=sum(bad.record.id is None for bad in self.bad),
        ).with_failures([bad.reason for bad in self.bad])


def compare(records: Sequence[Record], known: Known, suspects: Suspects, read: Read) -> Compared:
    """Say of each record whether the index has to hear of it.

    A digest that the index has is that of a valid document: only what differs is validated. `read` is asked
    for what differs and is not newer, since whether that says something new is for `merge` to decide.
    """
    named = [record for record in records if record.id is not None]
    seen = hashes(record.id or "" for record in named)
    rows = known.rows(seen)
    said = np.array([_comparable(record.document) for record in named], np.uint64)
    # A row of -1 is the last product's, whose digest is not to be found.
    held = known.products["digest"][rows] if len(known.products) else np.zeros(len(rows), np.uint64)
    same = (rows >= 0) & (said == held) & (said != 0)
    found = Compared(seen, len(records), unchanged=int(same.sum()))
    doubted = same & suspects.products[rows] if len(known.products) else same
    found.looked_at += [named[at].id or "" for at in np.flatnonzero(doubted)]
    found.unchanged_images = int(known.embedded[rows[same & ~doubted]].sum())
    differing = [(named[at], int(rows[at])) for at in np.flatnonzero(~same)]
    differing += [(record, -1) for record in records if record.id is None]
    _judge(differing, known, suspects, read, found)
    return found


def _comparable(document: Mapping[str, Any] | None) -> int:
    """The digest, if what it leaves out is valid too; else 0."""
    if document is None or "trace_id" in document:
        return 0
    version = document.get("version")
    if type(version) is not int or not 0 <= version <= MAX_VERSION:
        return 0
    try:
        return int(digest_of(document), 16)
    except (TypeError, ValueError, RecursionError):
        return 0


def _judge(
    differing: Sequence[tuple[Record, int]], known: Known, suspects: Suspects, read: Read, found: Compared
) -> None:
    """Validate what differs; publish what is newer, or still says something new."""
    doubtful: list[tuple[Record, int, ProductDocument]] = []
    for record, row in differing:
        try:
            event = _parsed(record)
        except InvalidEvent as error:
            found.bad.append(Bad(record, error))
            continue
        if row < 0 or event.version > known.products["version"][row]:
            _publish(record, row, known, found)
        else:
            doubtful.append((record, row, event))
    stored = read([event.id for _, _, event in doubtful]) if doubtful else {}
    for record, row, event in doubtful:
        state = stored[event.id].state if event.id in stored else UNKNOWN
        if merge(state, event) != state:
            _publish(record, row, known, found)
            continue
        found.older += 1
        if suspects.products[row]:
            found.looked_at.append(event.id)


def _parsed(record: Record) -> ProductDocument:
    if record.error is not None:
        raise record.error
    return parse_product_event(UPSERT, record.document)


def _publish(record: Record, row: int, known: Known, found: Compared) -> None:
    assert record.document is not None
    found.upserts.append(record.document)
    found.new += row < 0 or not known.live[row]
