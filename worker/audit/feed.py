"""The index against a feed: what it lacks, what it knows in an older state, what it should not have."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from recommender.catalog import Product
from recommender.digest import digest_of
from recommender.errors import InvalidEvent
from recommender.events import Upsert, parse_product_event
from recommender.index.schema import state_from_text
from recommender.merge import UNKNOWN, merge
from worker.audit.census import DELETED, STUB, Ask, Census, Flags
from worker.audit.findings import Example, Findings
from worker.audit.kinds import MISSING, ORPHANED, REFUSED, STALE, UPSERT, WITHHELD, Kind
from worker.feeds.record import Record

_STATES_A_REQUEST = 64
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


class FeedCheck:
    """Compares the records of a feed, one after the other, with a census.

    `publish` is told of the documents that the index is to hear of; `ask` is asked for states.
    """

    def __init__(
        self, compared: ComparedFeed, census: Census, findings: Findings, *, publish: Publish, ask: Ask
    ) -> None:
        self._compared = compared
        self._census = census
        self._findings = findings
        self._publish = publish
        self._ask = ask
        self._doubtful: list[tuple[Upsert, dict[str, Any], int]] = []

    def take(self, record: Record) -> None:
        """Compare one record, at once or with the next ones."""
        self._compared.records += 1
        place = None if record.id is None else self._census.place(record.id)
        if place is not None:
            self._compared.named[place] = True
        try:
            event = _parsed(record)
        except InvalidEvent as error:
            self._refuse(record, error)
            return
        assert record.document is not None
        if place is None or self._census.products["status"][place] == STUB:
            self._tell(MISSING, event, record.document, place)
        elif int(digest_of(record.document), 16) != self._census.products["digest"][place]:
            self._differs(event, record.document, place)

    def finish(self) -> None:
        """Compare what is left, and find what no record has named."""
        self._settle()
        compared, products = self._compared, self._census.products
        orphaned = self._census.live & ~compared.named
        if compared.made_at is not None:  # what was written after that may not be in it yet
            older = products["written_at"] < compared.made_at
            compared.not_in_it_yet = int((orphaned & ~older).sum())
            orphaned &= older
        for at in np.flatnonzero(orphaned).tolist():
            detail = f"version {products['version'][at]} in the index"
            self._findings[ORPHANED].add(Example(self._census.ids[at], detail))

    def _refuse(self, record: Record, error: InvalidEvent) -> None:
        self._compared.nameless += record.id is None
        said = _sayable(str(record.complaint(error)))
        self._findings[REFUSED].add(Example(_sayable(record.id or ""), said))
        self._findings[REFUSED].because(_sayable(str(error).partition(";")[0][:200]))

    def _differs(self, event: Upsert, document: dict[str, Any], place: int) -> None:
        """A newer document says something new; of any other that is for `merge` to decide."""
        point = self._census.products[place]
        if event.version > point["version"]:
            self._tell(MISSING if point["status"] == DELETED else STALE, event, document, place)
            return
        self._doubtful.append((event, document, place))
        if len(self._doubtful) == _STATES_A_REQUEST:
            self._settle()

    def _settle(self) -> None:
        """Decide what is in doubt by the states that the index has now."""
        if not self._doubtful:
            return
        asked = {"id": [event.id for event, _, _ in self._doubtful]}
        states = self._ask("/v1/census/states", asked)["states"]
        for event, document, place in self._doubtful:
            text = states.get(event.id)
            state = UNKNOWN if text is None else state_from_text(text)
            after = merge(state, event).product
            if after is not None and _digest(after) != _digest(state.product):
                self._tell(MISSING if state.product is None else STALE, event, document, place)
            elif after is None and self._was_withheld(place):
                self._tell(WITHHELD, event, document, place)
            else:
                self._compared.ahead += 1
        self._doubtful.clear()

    def _was_withheld(self, place: int) -> bool:
        made_at = self._compared.made_at
        return made_at is not None and bool(self._census.products["written_at"][place] < made_at)

    def _tell(self, kind: Kind, event: Upsert, document: dict[str, Any], place: int | None) -> None:
        said = f"version {event.version} in the feed"
        if place is not None:
            said = f"{said}, {self._census.products['version'][place]} in the index"
        self._findings[kind].add(Example(event.id, said, title=event.title))
        if kind.repair is not None:
            self._publish(document)


def _digest(product: Product | None) -> str:
    return "" if product is None else digest_of(product.model_dump(mode="json"))


def _sayable(text: str) -> str:
    """What nobody has validated may hold halves of characters, which can't be written down."""
    return text.encode(errors="replace").decode()


def _parsed(record: Record) -> Upsert:
    if record.error is not None:
        raise record.error
    event = parse_product_event(UPSERT, record.document)
    assert isinstance(event, Upsert)
    return event
