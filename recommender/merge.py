"""Which value of a field wins, whatever the order in which events arrive.

A product's state is the greatest upsert or delete seen (`base`) and, for each field, the greatest
patch that is greater than it. `merge` is therefore a join: commutative, associative and idempotent,
so upserts, patches and deletes may arrive in any order, any number of times.
"""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from recommender.catalog import Product
from recommender.events import PATCHABLE, Delete, Patch, ProductDocument, Upsert, digest

_RANK = {Patch: 0, Upsert: 1, Delete: 2}


class Stamp(NamedTuple):
    """What decides between two events that name the same field: the greater tuple wins.

    On equal versions delete (2) beats upsert (1) beats patch (0), then the greater digest of the
    canonical JSON, so that every worker decides alike.
    """

    version: int
    rank: int
    digest: str


class FieldPatch(NamedTuple):
    """A patched value and the stamp of the patch; None clears the field."""

    stamp: Stamp
    value: Any


@dataclass(frozen=True, slots=True)
class ProductState:
    """Everything that events have said of one product.

    `base` is None for a product of which only patches are known. `document` is the document of the
    base upsert; None when the base is a delete or missing. Keys of `patches` are field names, or
    `attributes.KEY`.
    """

    base: Stamp | None = None
    document: Product | None = None
    patches: Mapping[str, FieldPatch] = field(default_factory=dict)

    @property
    def product(self) -> Product | None:
        """The document with its patches applied; None for a tombstone or a stub."""
        if self.document is None:
            return None
        if not self.patches:
            return self.document
        values = {name: getattr(self.document, name) for name in self.document.model_fields_set}
        attributes = dict(self.document.attributes)
        if "attributes" in self.patches:
            attributes = {}
        for name, patch in self.patches.items():
            top, _, key = name.partition(".")
            if key and patch.value is not None:
                attributes[key] = patch.value
            elif key:
                attributes.pop(key, None)
            elif top != "attributes" and patch.value is not None:
                values[top] = patch.value
            elif top != "attributes":
                values.pop(top, None)
        values |= {"attributes": attributes, "version": self.version}
        # Every part was validated on its own; together, patches may name more attributes than one
        # document may hold.
        return Product.model_construct(**values)

    @property
    def deleted(self) -> bool:
        """Whether the greatest upsert or delete was a delete."""
        return self.base is not None and self.document is None

    @property
    def version(self) -> int:
        """The greatest version that counts; -1 where nothing is known."""
        stamps = [patch.stamp for patch in self.patches.values()]
        stamps += [self.base] if self.base else []
        return max(stamps).version if stamps else -1


UNKNOWN = ProductState()


def merge(stored: ProductState, event: ProductDocument) -> ProductState:
    """Return the state after `event`; equal to `stored` when the event is stale or repeated."""
    stamp = Stamp(event.version, _RANK[type(event)], digest(event))
    if isinstance(event, Patch):
        base, document = stored.base, stored.document
        candidates = {**stored.patches}
        for name, value in _named_fields(event):
            known = candidates.get(name)
            if known is None or known.stamp < stamp:
                candidates[name] = FieldPatch(stamp, value)
    else:
        if stored.base is not None and stored.base >= stamp:
            return stored
        base, candidates = stamp, {**stored.patches}
        document = None if isinstance(event, Delete) else _document(event)
    return ProductState(base, document, dict(sorted(_surviving(base, candidates))))


def join(one: ProductState, other: ProductState) -> ProductState:
    """Return the state of a product after the events of both; what `merge` is for a single one."""
    newer = other if other.base is not None and (one.base is None or other.base > one.base) else one
    base, document = newer.base, newer.document
    candidates = {**one.patches}
    for name, patch in other.patches.items():
        known = candidates.get(name)
        if known is None or known.stamp < patch.stamp:
            candidates[name] = patch
    return ProductState(base, document, dict(sorted(_surviving(base, candidates))))


def _document(event: Upsert) -> Product:
    """The event without its trace id; what was validated once is not validated again."""
    names = event.model_fields_set - {"trace_id"}
    return Product.model_construct(names, **{name: getattr(event, name) for name in names})


def _named_fields(event: Patch) -> Iterator[tuple[str, Any]]:
    for name in PATCHABLE:
        if name not in event.model_fields_set:
            continue
        value = getattr(event, name)
        if name == "attributes" and value is not None:
            yield from ((f"attributes.{key}", item) for key, item in value.items())
        else:
            yield name, value


def _surviving(base: Stamp | None, patches: Mapping[str, FieldPatch]) -> Iterator[tuple[str, FieldPatch]]:
    """Drop what the base names later, and attribute keys that a later clearing of all removed."""
    cleared = patches.get("attributes")
    for name, patch in patches.items():
        later = cleared if name.startswith("attributes.") else None
        if (base is None or patch.stamp > base) and (later is None or patch.stamp > later.stamp):
            yield name, patch
