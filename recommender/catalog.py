"""What the catalog is made of: products, category paths, filters, answers. Data, no I/O."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from math import isfinite
from typing import Annotated, Any, Literal

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    PlainValidator,
    StrictBool,
    StrictFloat,
    StrictInt,
    StrictStr,
    WithJsonSchema,
)

MAX_VERSION = 2**53 - 1  # the index compares versions as float64
MAX_IMAGES = 16
MAX_CATEGORY_LEVELS = 8
MAX_ATTRIBUTES = 256
MAX_ATTRIBUTE_LENGTH = 4096
# Every hit of a search is validated: a loop over its characters cost more than all else of that.
_CONTROL = re.compile(r"[\x00-\x1f\x7f-\x9f]")
_SURROGATE = re.compile(r"[\ud800-\udfff]")


def _without_control_characters(text: str) -> str:
    if _CONTROL.search(text):
        raise ValueError("must not contain control characters")
    return text


def _category_path(path: str) -> str:
    levels = path.split("/")
    if len(levels) > MAX_CATEGORY_LEVELS or not all(level.strip() for level in levels):
        raise ValueError(
            f"must be a path of 1 to {MAX_CATEGORY_LEVELS} non-empty levels, like women/shoes/boots"
        )
    return path


def _one_as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


def _uri_as_image(value: Any) -> Any:
    return {"uri": value} if isinstance(value, str) else value


def _null_as_in_stock(value: Any) -> Any:
    return True if value is None else value


def _null_as_no_attributes(value: Any) -> Any:
    return {} if value is None else value


def _attribute_value(value: Any) -> Any:
    if isinstance(value, list | tuple):
        if len(value) > 256 or not all(isinstance(item, str) for item in value):
            raise ValueError("a list must hold at most 256 strings")
        return tuple(_attribute_text(item) for item in value)
    if not isinstance(value, str | int | float) or (isinstance(value, float) and not isfinite(value)):
        raise ValueError("must be a string, a finite number, a boolean or a list of strings")
    return _attribute_text(value) if isinstance(value, str) else value


def _attribute_text(text: str) -> str:
    if len(text) > MAX_ATTRIBUTE_LENGTH:
        raise ValueError(f"must be at most {MAX_ATTRIBUTE_LENGTH} characters long")
    if _SURROGATE.search(text):
        raise ValueError("must not contain lone surrogates")
    return text


ProductId = Annotated[
    StrictStr, Field(min_length=1, max_length=128), AfterValidator(_without_control_characters)
]
Version = Annotated[StrictInt, Field(ge=0, le=MAX_VERSION)]
Text = Annotated[StrictStr, Field(max_length=1024)]
Price = Annotated[StrictFloat, Field(ge=0, le=1e12, allow_inf_nan=False)]
CategoryPath = Annotated[StrictStr, Field(max_length=512), AfterValidator(_category_path)]
_CategoryPaths = Annotated[tuple[CategoryPath, ...], Field(min_length=1, max_length=16)]
Categories = Annotated[
    _CategoryPaths, BeforeValidator(_one_as_list, json_schema_input_type=CategoryPath | _CategoryPaths)
]
AttributeKey = Annotated[
    StrictStr, Field(min_length=1, max_length=128), AfterValidator(_without_control_characters)
]
Scalar = str | int | float | bool
AttributeValue = Annotated[
    Any,  # Scalar | tuple[str, ...]; said by the validator, whose errors are shorter than a union's
    PlainValidator(_attribute_value),
    WithJsonSchema(
        {
            "anyOf": [
                {"type": "string", "maxLength": MAX_ATTRIBUTE_LENGTH},
                {"type": ["number", "boolean"]},
                {
                    "type": "array",
                    "items": {"type": "string", "maxLength": MAX_ATTRIBUTE_LENGTH},
                    "maxItems": 256,
                },
            ]
        }
    ),
]
_Attributes = Annotated[dict[AttributeKey, AttributeValue], Field(max_length=MAX_ATTRIBUTES)]
_Uri = Annotated[
    StrictStr,
    Field(min_length=1, max_length=2048, pattern=r"^(s3|https|file)://"),
    AfterValidator(_without_control_characters),
]


class Document(BaseModel):
    """A frozen piece of the wire format; an unknown field is an error."""

    model_config = ConfigDict(frozen=True, extra="forbid")


class ImageRef(Document):
    """Where one image of a product lies: s3://, https:// or file://."""

    uri: _Uri
    role: Annotated[StrictStr, Field(min_length=1, max_length=64)] | None = None


class Product(Document):
    """One product as the shop knows it; the document of `products.upsert`. A null field is an absent one."""

    id: ProductId
    version: Version
    images: Annotated[
        tuple[
            Annotated[ImageRef, BeforeValidator(_uri_as_image, json_schema_input_type=_Uri | ImageRef)], ...
        ],
        Field(min_length=1, max_length=MAX_IMAGES),
    ]
    category: Categories
    title: Text | None = None
    brand: Text | None = None
    price: Price | None = None
    currency: Annotated[StrictStr, Field(pattern=r"^[A-Z]{3}$")] | None = None
    in_stock: Annotated[
        StrictBool, BeforeValidator(_null_as_in_stock, json_schema_input_type=StrictBool | None)
    ] = True
    group_id: Annotated[StrictStr, Field(min_length=1, max_length=128)] | None = None
    url: Annotated[StrictStr, Field(max_length=2048)] | None = None
    attributes: Annotated[
        _Attributes, BeforeValidator(_null_as_no_attributes, json_schema_input_type=_Attributes | None)
    ] = {}


def category_ancestors(categories: tuple[str, ...]) -> list[str]:
    """Every category and every category above it, once each, parents first.

    `("women/shoes",)` gives `["women", "women/shoes"]`: a filter on any of them is then equality.
    """
    seen: dict[str, None] = {}
    for path in categories:
        levels = path.split("/")
        for depth in range(1, len(levels) + 1):
            seen["/".join(levels[:depth])] = None
    return list(seen)


@dataclass(frozen=True, slots=True)
class Range:
    """A number within bounds, both inclusive; None leaves a side open."""

    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, slots=True)
class Filter:
    """Which products may be answered; every given condition must hold, any of its values may.

    A category matches everything below it. Price bounds are inclusive. `ranges` are of attributes whose
    values are numbers, or texts that say one. `duplicate` is about the flag that ingestion sets.
    """

    category: tuple[str, ...] = ()
    brand: tuple[str, ...] = ()
    price_min: float | None = None
    price_max: float | None = None
    currency: str | None = None
    in_stock: bool | None = None
    attributes: Mapping[str, tuple[Scalar, ...]] = field(default_factory=dict)
    ranges: Mapping[str, Range] = field(default_factory=dict)
    exclude_ids: tuple[str, ...] = ()
    exclude_brands: tuple[str, ...] = ()
    exclude_groups: tuple[str, ...] = ()
    duplicate: bool | None = None


@dataclass(frozen=True, slots=True)
class Match:
    """Which image of an answer is like which image that was asked about; both count from 0.

    `asked` is the product whose image it is; None for a photo or a text, which have no number either.
    """

    asked: str | None
    asked_image: int | None
    image: int


@dataclass(frozen=True, slots=True)
class SimilarItem:
    """One answer; `score` is the cosine of the best pair of images, in [-1, 1]."""

    product: Product
    score: float
    match: Match


@dataclass(frozen=True, slots=True)
class Relaxation:
    """One step by which a filter was widened, and what it says now of what the step is about."""

    step: Literal["attributes", "price", "category"]
    dropped: tuple[str, ...] = ()
    price_min: float | None = None
    price_max: float | None = None
    category: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Answer:
    """The answers to one question, best first, what was relaxed for them, and what it took."""

    items: tuple[SimilarItem, ...]
    encoder: str
    took_ms: float
    relaxed: tuple[Relaxation, ...] = ()
