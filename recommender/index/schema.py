"""What a point looks like: its id, its payload, its payload indexes. Said once, for both engines.

A payload holds, beside bookkeeping, two things: `state`, the JSON text from which `ProductState`
comes back exactly (text, because the engines' numbers are not Python's: an integer beyond 64 bits
would not survive), and the fields that are filtered on, which are those of the merged product.
Flags are no booleans: the embedded engine's MatchValue(True) matches the integer 1 and no boolean.
"""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from typing import Any, Literal
from uuid import NAMESPACE_URL, UUID, uuid5

from config.settings import FILTERABLE_NAME
from recommender.catalog import Product, Scalar, category_ancestors
from recommender.digest import digest_of
from recommender.errors import InvalidQuery
from recommender.events import canonical_json
from recommender.index.protocol import (
    CensusEntry,
    DuplicateOf,
    IndexedImage,
    Status,
    StoredProduct,
    Vectors,
    Write,
)
from recommender.merge import FieldPatch, ProductState, Stamp

SCHEMA_VERSION = 3
VECTOR = "image"

SEARCHABLE: tuple[str, ...] = ("searchable",)
LIVE: tuple[str, ...] = ("searchable", "imageless")
CENSUS: tuple[str, ...] = ("id", "status", "version", "digest", "images", "written_at", "encoder", "group_id")
"""Payload fields of a `CensusEntry`, beside the state."""

_NUMBER = re.compile(r"-?\d{1,40}(\.\d+)?(e[+-]?\d{1,2})?", re.ASCII)
"""What a range compares: a text that says a number counts, as it does where values are compared as text."""

IndexKind = Literal["keyword", "integer", "float"]
_INDEXES: dict[str, IndexKind] = {
    "status": "keyword",
    "rev": "integer",
    "version": "integer",
    "category": "keyword",
    "brand": "keyword",
    "group_id": "keyword",
    "in_stock": "integer",
    "price": "float",
    "currency": "keyword",
    "duplicate": "integer",
}


@dataclass(frozen=True)
class Schema:
    """The schema of one catalog; `attributes` are those that the settings declare filterable."""

    catalog: str
    attributes: tuple[str, ...] = ()

    @cached_property
    def _namespace(self) -> UUID:
        return uuid5(NAMESPACE_URL, f"lookalike:{self.catalog}")

    def point_id(self, product_id: str) -> str:
        """The id of a product's point: uuid5 in the catalog's own namespace."""
        return _point_id(self._namespace, product_id)

    @property
    def payload_indexes(self) -> dict[str, IndexKind]:
        """Every payload index that must exist before the first point."""
        texts: dict[str, IndexKind] = {f"attributes.{key}": "keyword" for key in self.attributes}
        numbers: dict[str, IndexKind] = {f"numbers.{key}": "float" for key in self.attributes}
        return {**_INDEXES, **texts, **numbers}

    def attribute_field(self, key: str) -> str:
        """The payload field of a declared attribute.

        Raises:
            InvalidQuery: the settings don't declare it.
        """
        if key not in self.attributes:
            declared = ", ".join(self.attributes) or "none"
            raise InvalidQuery(
                f"attributes.{key}", f"is not declared in INDEX__ATTRIBUTES (declared: {declared})"
            )
        return f"attributes.{key}"

    def number_field(self, key: str) -> str:
        """The payload field of a declared attribute's numbers.

        Raises:
            InvalidQuery: the settings don't declare it.
        """
        self.attribute_field(key)
        return f"numbers.{key}"

    def facet_field(self, field: str) -> str:
        """The payload field whose values can be counted.

        Raises:
            InvalidQuery: it is neither category nor brand nor a declared attribute.
        """
        top, _, key = field.partition(".")
        if top == "attributes":
            return self.attribute_field(key)
        if field not in ("category", "brand"):
            raise InvalidQuery("field", f"{field!r} is not category, brand or attributes.KEY")
        return field

    def collection(self, fingerprint: str) -> str:
        """The collection of one encoder.

        The dot can't occur in a catalog's name: the collections of `shop` and `shop-eu` stay apart.
        """
        return f"{self.catalog}.{fingerprint}"

    def fingerprint(self, collection: str) -> str | None:
        """The inverse of `collection`; None for a collection of another catalog."""
        catalog, dot, fingerprint = collection.partition(".")
        return fingerprint if dot and catalog == self.catalog else None


@lru_cache(maxsize=8192)  # a product that is worked on is read, written and read back
def _point_id(namespace: UUID, product_id: str) -> str:
    return str(uuid5(namespace, product_id))


def attribute_token(value: Scalar) -> str:
    """An attribute as it is compared: text, whatever its type.

    A query parameter of a URL has no type, so that a number equals its shortest text: 38, 38.0 and
    "38" are one; the text "38.0" is another. And one keyword index serves every declared attribute.
    """
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, float) and value.is_integer():
        return str(int(value))
    return str(value)


def payload_of(write: Write, *, write_id: str, fingerprint: str) -> dict[str, Any]:
    """The payload of a write; `write_id` tells its writer's read-back who won."""
    product, said = write.state.product, _said(write.state.document)
    # Nearly every product has no patches: then what is kept of it is what it says.
    merged = said if product is write.state.document else _said(product)
    return {
        "id": write.id,
        "rev": next_rev(write),
        "write_id": write_id,
        "schema": SCHEMA_VERSION,
        "encoder": fingerprint,
        "status": _status(write),
        "version": write.state.version,
        "images": [
            {"uri": image.uri, "etag": image.etag, "row": image.row, "error": image.error}
            for image in write.images
        ],
        "state": _state_to_text(write.state, said),
        "digest": digest_of(merged) if merged else "",
        "written_at": int(time.time()),
        **_duplicate_fields(write.duplicate_of),
        **(_filter_fields(product) if product else {}),
    }


def stored_of(payload: Mapping[str, Any], vectors: Vectors | None) -> StoredProduct:
    """The inverse of `payload_of`."""
    return StoredProduct(
        id=payload["id"],
        rev=payload["rev"],
        state=state_from_text(payload["state"]),
        images=tuple(IndexedImage(**image) for image in payload["images"]),
        vectors=vectors,
        duplicate_of=DuplicateOf(**duplicate) if (duplicate := payload.get("duplicate_of")) else None,
    )


def census_of(payload: Mapping[str, Any]) -> CensusEntry:
    """What a census says of a point, from those payload fields of it that were read."""
    return CensusEntry(
        id=payload["id"],
        status=payload["status"],
        version=payload["version"],
        digest=payload["digest"],
        images=tuple(IndexedImage(**image) for image in payload["images"]),
        written_at=payload["written_at"],
        encoder=payload["encoder"],
        group_id=payload.get("group_id"),
        state=payload.get("state"),
    )


def next_rev(write: Write) -> int:
    """The revision that this write leaves behind."""
    return (write.expected_rev or 0) + 1


def _status(write: Write) -> Status:
    if write.state.document is None:
        return "deleted" if write.state.deleted else "stub"
    return "searchable" if any(image.row is not None for image in write.images) else "imageless"


def _duplicate_fields(duplicate_of: DuplicateOf | None) -> dict[str, Any]:
    if duplicate_of is None:
        return {}
    return {"duplicate": 1, "duplicate_of": {"id": duplicate_of.id, "score": duplicate_of.score}}


def _filter_fields(product: Product) -> dict[str, Any]:
    """Undeclared attributes too, so that declaring one needs its index alone.

    Those that can't be declared are left out: engines read dots, brackets and quotes in a field as a path.
    """
    tokens = {
        key: [attribute_token(item) for item in (value if isinstance(value, tuple) else (value,))]
        for key, value in product.attributes.items()
        if FILTERABLE_NAME.fullmatch(key)
    }
    numbers = {
        key: [float(text) for text in texts if _NUMBER.fullmatch(text)] for key, texts in tokens.items()
    }
    return {
        "category": category_ancestors(product.category),
        "brand": product.brand,
        "group_id": product.group_id,
        "in_stock": int(product.in_stock),
        "price": product.price,
        "currency": product.currency,
        "attributes": tokens,
        "numbers": {key: found for key, found in numbers.items() if found},
    }


def _said(product: Product | None) -> dict[str, Any] | None:
    return product.model_dump(mode="json", exclude_defaults=True) if product else None


def _state_to_text(state: ProductState, document: Mapping[str, Any] | None) -> str:
    """The same text for equal states: collections are compared by it."""
    said = {"base": state.base, "document": document, "patches": state.patches}
    return canonical_json(said)


@lru_cache(maxsize=4096)  # a question reads its best hits twice, and shoppers ask about the same products
def state_from_text(text: str) -> ProductState:
    """The state that a point's text says."""
    said = json.loads(text)
    return ProductState(
        base=Stamp(*said["base"]) if said["base"] else None,
        document=Product.model_validate(said["document"]) if said["document"] else None,
        patches={
            name: FieldPatch(Stamp(*stamp), tuple(value) if isinstance(value, list) else value)
            for name, (stamp, value) in said["patches"].items()
        },
    )
