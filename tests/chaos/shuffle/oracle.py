"""The oracle: a product is its events, folded in the order of their versions, field by field.

Written from the promise alone; nothing of the code under test is imported.
"""

import hashlib
import json
from collections.abc import Iterable, Mapping
from typing import Any

Document = Mapping[str, Any]
Sent = tuple[str, Document]
"""An event's type and its document as it is published."""

RANKS = {"products.patch": 0, "products.upsert": 1, "products.delete": 2}
OPTIONAL = ("title", "brand", "price", "currency", "group_id", "url")
FIELDS = ("category", *OPTIONAL, "in_stock", "attributes", "images")


def fold(events: Iterable[Sent]) -> dict[str, Any] | None:
    """The product that these events leave, as the API answers it; None where there is none."""
    product: dict[str, Any] | None = None
    for kind, document in sorted(events, key=_precedence):
        if kind == "products.upsert":
            product = _whole(document)
        elif kind == "products.delete":
            product = None
        elif product is not None:
            product = _patched(product, document)
    return product


def _precedence(event: Sent) -> tuple[int, int, str]:
    """Greater versions win; then delete over upsert over patch, then the greater digest."""
    kind, document = event
    said = {name: _canonical(name, value) for name, value in document.items() if name != "trace_id"}
    if kind == "products.upsert":
        absent = {**dict.fromkeys(OPTIONAL), "in_stock": True, "attributes": {}}
        said = absent | {name: value for name, value in said.items() if value is not None}
    text = json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return document["version"], RANKS[kind], hashlib.sha256(text.encode()).hexdigest()


def _canonical(name: str, value: Any) -> Any:
    if name == "images":
        return [{"role": None, "uri": i} if isinstance(i, str) else {"role": None, **i} for i in value]
    if name == "category":
        return [value] if isinstance(value, str) else value
    return float(value) if name == "price" and value is not None else value


def _whole(document: Document) -> dict[str, Any]:
    said = {name: _canonical(name, document.get(name)) for name in FIELDS}
    paths = said["category"]
    return {
        **said,
        "id": document["id"],
        "version": document["version"],
        "category": paths[0] if len(paths) == 1 else paths,
        "in_stock": True if said["in_stock"] is None else said["in_stock"],
        "attributes": dict(said["attributes"] or {}),
    }


def _patched(product: dict[str, Any], patch: Document) -> dict[str, Any]:
    after = product | {name: _canonical(name, patch[name]) for name in OPTIONAL if name in patch}
    if "in_stock" in patch:
        after["in_stock"] = True if patch["in_stock"] is None else patch["in_stock"]
    if "attributes" in patch:
        named = patch["attributes"]
        merged = {**product["attributes"], **named} if named is not None else {}
        after["attributes"] = {key: value for key, value in merged.items() if value is not None}
    return after | {"version": patch["version"]}
