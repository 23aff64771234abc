"""What the events of one product come to: applied one after the other, in the order of their versions.

Written from docs and design alone; recommender.merge, which must come to the same in any order, is not asked.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal

Kind = Literal["products.upsert", "products.patch", "products.delete"]
Document = dict[str, Any]
_FIELDS = ("title", "brand", "price", "currency", "group_id", "url")


@dataclass(frozen=True)
class Event:
    """One document of a message; `held` is whether the broker said that it has it."""

    kind: Kind
    document: Document
    held: bool = True

    @property
    def id(self) -> str:
        identity: str = self.document["id"]
        return identity

    @property
    def version(self) -> int:
        version: int = self.document["version"]
        return version


def fold(events: Iterable[Event]) -> Document | None:
    """The product as the API must show it, None where it must not be found. No two events share a version."""
    shown: Document | None = None
    for event in sorted(events, key=lambda event: event.version):
        document = event.document
        if event.kind == "products.delete":
            shown = None
        elif event.kind == "products.upsert":
            shown = dict.fromkeys(_FIELDS) | {"in_stock": True} | document
            shown["attributes"] = dict(document.get("attributes") or {})
        elif shown is not None:
            shown |= {name: value for name, value in document.items() if name != "attributes"}
            _patch_attributes(shown, document)
            if shown["in_stock"] is None:
                shown["in_stock"] = True
    return shown


def _patch_attributes(shown: Document, document: Document) -> None:
    if "attributes" not in document:
        return
    if document["attributes"] is None:
        shown["attributes"] = {}
        return
    merged = {**shown["attributes"], **document["attributes"]}
    shown["attributes"] = {key: value for key, value in merged.items() if value is not None}
