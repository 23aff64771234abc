"""What a batch of events asks for, decided from what the index holds. Pure: no I/O."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Annotated, Final, NamedTuple

from pydantic import Field, StrictBool

from recommender.catalog import Document, ProductId, Version
from recommender.events import ProductDocument, TraceId, Upsert
from recommender.index.protocol import DuplicateOf, IndexedImage, StoredProduct
from recommender.merge import UNKNOWN, ProductState, join, merge

EMBED: Final = "products.embed"
BACKFILL: Final = "products.backfill"
PURGE: Final = "products.purge"
_EMBED_IMAGES = 4
"""What a repair is taken to weigh: only the index knows how many images it has."""
_NO_ROW = "none"
"""No store's ETag: those of S3 and HTTP are quoted."""


class Embed(Document):
    """`products.embed`, which the system gives itself: embed again what the index knows of a product.

    `only_changed`: its images are asked for with their ETags, and only what has changed is embedded.
    """

    id: ProductId
    only_changed: StrictBool = False
    trace_id: TraceId | None = None


class Backfill(Document):
    """`products.backfill`, which a model swap gives itself: bring a product into the new index."""

    id: ProductId
    swap: Annotated[str, Field(max_length=64)]
    """The swap that asks for it; once that has ended, there is nothing to do."""
    trace_id: TraceId | None = None


@dataclass(frozen=True, slots=True)
class Copy:
    """What a backfill brings: all that the old index knows of a product but its vectors."""

    asked: Backfill
    stored: StoredProduct

    @property
    def id(self) -> str:
        """The product's."""
        return self.asked.id

    @property
    def trace_id(self) -> str | None:
        """The backfill's."""
        return self.asked.trace_id


class Purge(Document):
    """`products.purge`, which an audit asks for: forget a tombstone that is still of this version."""

    id: ProductId
    version: Version
    trace_id: TraceId | None = None


Event = ProductDocument | Embed | Copy | Purge


class ImageKey(NamedTuple):
    """One image to look at; with an ETag, only if it is no longer that of the embedded bytes."""

    uri: str
    etag: str | None


@dataclass(frozen=True, slots=True)
class Group:
    """The events of one product in one batch, in their order."""

    id: str
    events: tuple[Event, ...]


@dataclass(frozen=True, slots=True)
class Plan:
    """What one group asks for.

    `images` is empty for a payload-only write. `stale` are events older than what is stored,
    `repeated` those that it holds already.
    """

    group: Group
    stored: StoredProduct | None
    state: ProductState
    images: tuple[ImageKey, ...] = ()
    applied: tuple[Event, ...] = ()
    stale: tuple[Event, ...] = ()
    repeated: tuple[Event, ...] = ()
    forced: bool = False

    @property
    def writes(self) -> bool:
        """Whether anything is to be written."""
        known = self.stored is not None or self.state != UNKNOWN
        return known and bool(self.images or self.applied)

    @property
    def may_keep_rows(self) -> bool:
        """Whether the rows that are stored may stay, so that they must be known."""
        return bool(self.images) and any(image.row is not None for image in self.known.values())

    @property
    def names_images(self) -> Event:
        """The event whose images are looked at."""
        events = reversed(self.group.events)
        named = (event for event in events if isinstance(event, Upsert | Embed | Copy))
        return next(named, self.group.events[-1])

    @property
    def copies(self) -> bool:
        """Whether it brings what another index holds: nothing in it is news."""
        return any(isinstance(event, Copy) for event in self.group.events)

    @property
    def duplicate_of(self) -> DuplicateOf | None:
        """The flag that is known of the product's photos, here or in the index that is copied from."""
        flags = [self.stored.duplicate_of] if self.stored else []
        flags += [event.stored.duplicate_of for event in self.group.events if isinstance(event, Copy)]
        return next((flag for flag in flags if flag), None)

    @property
    def known(self) -> dict[str, IndexedImage]:
        """What the index knows of this product's images, by URI."""
        return {image.uri: image for image in self.stored.images} if self.stored else {}


@dataclass(slots=True)
class _Fold:
    """The state while the events of a group are merged one after the other."""

    state: ProductState
    applied: list[Event] = field(default_factory=list)
    stale: list[Event] = field(default_factory=list)
    repeated: list[Event] = field(default_factory=list)
    looks: bool = False
    forced: bool = False

    def take(self, event: Event) -> None:
        if isinstance(event, Embed):
            live = self.state.document is not None
            self.looks = self.looks or live
            self.forced = self.forced or (live and not event.only_changed)
            (self.applied if live else self.stale).append(event)
            return
        if isinstance(event, Copy):
            after = join(self.state, event.stored.state)
            (self.applied if after != self.state else self.repeated).append(event)
            self.state = after
            return
        if isinstance(event, Purge):
            is_it = self.state.deleted and self.state.version == event.version
            (self.applied if is_it else self.stale).append(event)
            self.state = UNKNOWN if is_it else self.state
            return
        after = merge(self.state, event)
        if after != self.state:
            self.applied.append(event)
        else:
            (self.stale if event.version < self.state.version else self.repeated).append(event)
        self.state = after


def group_by_product(events: Sequence[Event]) -> list[Group]:
    """Gather the events of each product, products in order of first appearance."""
    groups: dict[str, list[Event]] = {}
    for event in events:
        groups.setdefault(event.id, []).append(event)
    return [Group(product, tuple(those)) for product, those in groups.items()]


def slices(groups: Sequence[Group], most_images: int) -> Iterator[list[Group]]:
    """Cut the groups, in their order, where their images may pass `most_images`; patches weigh nothing."""
    cut: list[Group] = []
    weight = 0
    for group in groups:
        images = max(_image_count(event) for event in group.events)
        if cut and weight + images > most_images:
            yield cut
            cut, weight = [], 0
        cut.append(group)
        weight += images
    if cut:
        yield cut


def _image_count(event: Event) -> int:
    if isinstance(event, Upsert):
        return len(event.images)
    if isinstance(event, Copy):
        return len(event.stored.images)
    return _EMBED_IMAGES if isinstance(event, Embed) else 0


def make_plan(group: Group, stored: StoredProduct | None) -> Plan:
    """Decide what one product's events ask for."""
    before = stored.state if stored else UNKNOWN
    fold = _Fold(before)
    for event in group.events:
        fold.take(event)
    return Plan(
        group,
        stored,
        fold.state,
        _images(group, fold, stored),
        tuple(fold.applied),
        tuple(fold.stale),
        tuple(fold.repeated),
        fold.forced,
    )


def _images(group: Group, fold: _Fold, stored: StoredProduct | None) -> tuple[ImageKey, ...]:
    """Every image to look at, once each; none where only the payload changes.

    An image without a row is looked at again whenever an upsert says what is stored, so that whoever
    repairs an image need only repeat the event.
    """
    state = fold.state
    if state.document is None:
        return ()
    uris = dict.fromkeys(image.uri for image in state.document.images)
    known = {image.uri: image for image in stored.images} if stored else {}
    upserted = stored is None or state.base != stored.state.base
    embedded = {image.uri: image.etag for image in known.values() if image.row is not None}
    if not (
        fold.looks
        or upserted
        or uris.keys() - known.keys()
        or (uris.keys() - embedded.keys() and _repeats_base(group, state))
        or _lacks_copied(group, {uri: embedded.get(uri, _NO_ROW) for uri in uris})
    ):
        return ()
    return tuple(ImageKey(uri, None if fold.forced else embedded.get(uri)) for uri in uris)


def _lacks_copied(group: Group, embedded: Mapping[str, str | None]) -> bool:
    """Whether another index has rows of these images that this one lacks, or that are of other bytes."""
    copies = (event.stored.images for event in group.events if isinstance(event, Copy))
    return any(
        image.row is not None and embedded.get(image.uri, image.etag) != image.etag
        for images in copies
        for image in images
    )


def _repeats_base(group: Group, state: ProductState) -> bool:
    """Whether one of the upserts is that of the state's document."""
    upserts = (event for event in group.events if isinstance(event, Upsert))
    return any(merge(UNKNOWN, event).base == state.base for event in upserts)
