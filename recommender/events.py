"""The wire format of events: parsed and validated product by product, with typed errors.

Seven types, said once in `EVENT_TYPES`; `json_schema()` prints all of them.
"""

import hashlib
import json
from collections.abc import Mapping
from typing import Annotated, Any, Literal, Self, TypeVar

from pydantic import (
    ConfigDict,
    Field,
    StrictBool,
    StrictFloat,
    StrictStr,
    TypeAdapter,
    ValidationError,
    model_validator,
)

from recommender.catalog import (
    MAX_ATTRIBUTES,
    AttributeKey,
    AttributeValue,
    CategoryPath,
    Document,
    Price,
    Product,
    ProductId,
    Text,
    Version,
)
from recommender.errors import InvalidEvent

MAX_DOCUMENTS = 256
MAX_SCOPE_IDS = 10_000
_CANONICAL = json.JSONEncoder(sort_keys=True, separators=(",", ":"), ensure_ascii=False)
TraceId = Annotated[StrictStr, Field(max_length=128)]
PATCHABLE = ("title", "brand", "price", "currency", "in_stock", "group_id", "url", "attributes")


class Upsert(Product):
    """`products.upsert`: the whole product."""

    trace_id: TraceId | None = None


class Patch(Document):
    """`products.patch`: the fields it names; null clears, attributes merge key by key."""

    model_config = ConfigDict(json_schema_extra={"anyOf": [{"required": [name]} for name in PATCHABLE]})

    id: ProductId
    version: Version
    title: Text | None = None
    brand: Text | None = None
    price: Price | None = None
    currency: Annotated[StrictStr, Field(pattern=r"^[A-Z]{3}$")] | None = None
    in_stock: StrictBool | None = None
    group_id: Annotated[StrictStr, Field(min_length=1, max_length=128)] | None = None
    url: Annotated[StrictStr, Field(max_length=2048)] | None = None
    attributes: (
        Annotated[dict[AttributeKey, AttributeValue | None], Field(max_length=MAX_ATTRIBUTES)] | None
    ) = None
    trace_id: TraceId | None = None

    @model_validator(mode="after")
    def _names_a_field(self) -> Self:
        if not self.model_fields_set.intersection(PATCHABLE):
            raise ValueError(f"names nothing to change; give one of {', '.join(PATCHABLE)}")
        return self


class Delete(Document):
    """`products.delete`: gone as of this version."""

    id: ProductId
    version: Version
    trace_id: TraceId | None = None


class Refresh(Document):
    """`catalog.refresh`: bring the index up to date with a feed.

    `max_gone` is the share of the index's products that may be deleted since they left the feed; that of
    the settings if unset.
    """

    feed: Annotated[StrictStr, Field(min_length=1, max_length=2048, pattern=r"^[a-z0-9]+://")]
    max_gone: Annotated[StrictFloat, Field(ge=0, le=1, allow_inf_nan=False)] | None = None


class CategoryScope(Document):
    """A reindex of one category and what is below it."""

    category: CategoryPath


class IdsScope(Document):
    """A reindex of named products."""

    ids: Annotated[tuple[ProductId, ...], Field(min_length=1, max_length=MAX_SCOPE_IDS)]


class Reindex(Document):
    """`catalog.reindex`: embed again from what the index knows; no scope means everything.

    With another encoder than the one that serves it is a model swap, which takes everything. `drop_old` drops
    the old collection once the new one serves; `dry_run` only says what the swap takes.
    """

    encoder: Annotated[StrictStr, Field(min_length=1, max_length=64)] | None = None
    scope: CategoryScope | IdsScope | None = None
    drop_old: StrictBool = False
    dry_run: StrictBool = False


class Rollback(Document):
    """`catalog.rollback`: serve again from the collection before the swap; `drop_old` drops the swap's."""

    drop_old: StrictBool = False


class DropOld(Document):
    """`catalog.drop_old`: drop what does not serve, which ends a swap."""


ProductDocument = Upsert | Patch | Delete
CatalogJob = Refresh | Reindex | Rollback | DropOld
EventType = Literal[
    "products.upsert",
    "products.patch",
    "products.delete",
    "catalog.refresh",
    "catalog.reindex",
    "catalog.rollback",
    "catalog.drop_old",
]
PRODUCT_EVENTS: dict[str, type[Upsert] | type[Patch] | type[Delete]] = {
    "products.upsert": Upsert,
    "products.patch": Patch,
    "products.delete": Delete,
}
CATALOG_JOBS: dict[str, type[Refresh] | type[Reindex] | type[Rollback] | type[DropOld]] = {
    "catalog.refresh": Refresh,
    "catalog.reindex": Reindex,
    "catalog.rollback": Rollback,
    "catalog.drop_old": DropOld,
}
EVENT_TYPES = (*PRODUCT_EVENTS, *CATALOG_JOBS)
AnyDocument = TypeVar("AnyDocument", bound=Document)


def parse_product_event(event_type: str, document: Any) -> ProductDocument:
    """Validate one document of a product event.

    Raises:
        InvalidEvent: it breaks the wire format; the message names every offending field.
    """
    if event_type not in PRODUCT_EVENTS:
        raise InvalidEvent("type", f"{event_type!r} is not one of {', '.join(PRODUCT_EVENTS)}")
    if not isinstance(document, Mapping):
        raise InvalidEvent("", f"a document must be an object, not {type(document).__name__}")
    return _validate(PRODUCT_EVENTS[event_type], document)


def parse_catalog_job(event_type: str, arguments: Any) -> CatalogJob:
    """Validate the arguments of a catalog job.

    Raises:
        InvalidEvent: they break the wire format; the message names every offending field.
    """
    if event_type not in CATALOG_JOBS:
        raise InvalidEvent("type", f"{event_type!r} is not one of {', '.join(CATALOG_JOBS)}")
    if not isinstance(arguments, Mapping):
        raise InvalidEvent("", f"arguments must be an object, not {type(arguments).__name__}")
    return _validate(CATALOG_JOBS[event_type], arguments)


def check_documents(documents: Any) -> list[Any]:
    """Check the argument of a product event: a list of 1 to `MAX_DOCUMENTS` documents.

    Raises:
        InvalidEvent: it is something else.
    """
    if not isinstance(documents, list) or not 1 <= len(documents) <= MAX_DOCUMENTS:
        size = len(documents) if isinstance(documents, list) else type(documents).__name__
        raise InvalidEvent("", f"expected a list of 1 to {MAX_DOCUMENTS} documents, got {size}")
    return documents


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of every event: one definition a type, and the documents they hold."""
    models = {**PRODUCT_EVENTS, **CATALOG_JOBS}
    adapter_schemas, definitions = TypeAdapter.json_schemas(
        [(name, "validation", TypeAdapter(model)) for name, model in models.items()],
        title="Lookalike events",
        ref_template="#/$defs/{model}",
    )
    events: dict[str, Any] = {}
    for name in PRODUCT_EVENTS:
        document = adapter_schemas[name, "validation"]
        events[name] = {"type": "array", "minItems": 1, "maxItems": MAX_DOCUMENTS, "items": document}
    for name in CATALOG_JOBS:
        events[name] = adapter_schemas[name, "validation"]
    return {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": definitions.pop("title"),
        "description": "Keyed by event type: Celery task names, and `type` on the Redis Stream.",
        "type": "object",
        "properties": events,
        **definitions,
    }


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and no spaces: equal values give equal text."""
    return _CANONICAL.encode(value)


def digest(event: ProductDocument) -> str:
    """16 hex digits of the SHA-256 of what the event says, without its trace id."""
    said = event.model_dump(mode="json", exclude={"trace_id"}, exclude_unset=isinstance(event, Patch))
    return hashlib.sha256(canonical_json(said).encode()).hexdigest()[:16]


def _validate(model: type[AnyDocument], document: Mapping[str, Any]) -> AnyDocument:
    try:
        return model.model_validate(document)
    except ValidationError as error:
        raise _as_invalid_event(error) from error


def _as_invalid_event(error: ValidationError) -> InvalidEvent:
    """The first field at fault, and in the message the others too."""
    complaints = [
        (".".join(str(part) for part in item["loc"]), item["msg"].removeprefix("Value error, "))
        for item in error.errors(include_url=False, include_input=False, include_context=False)
    ]
    (field, reason), *others = complaints[:8]
    return InvalidEvent(field, "; ".join([reason, *(f"{name}: {text}" for name, text in others)]))
