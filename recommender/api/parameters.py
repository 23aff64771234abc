"""Questions on the wire: query parameters, form fields and JSON bodies."""

from collections.abc import Mapping
from typing import Annotated, Any
from uuid import UUID

from fastapi import UploadFile
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from recommender.catalog import MAX_ATTRIBUTE_LENGTH, CategoryPath, Filter, Scalar
from recommender.errors import InvalidQuery
from recommender.similar import MAX_LIMIT, MAX_PRODUCTS, MAX_WINDOW, Question

_ATTRIBUTE = "attr."

ATTRIBUTE_PARAMETER = {
    "parameters": [
        {
            "name": "attr.NAME",
            "in": "query",
            "required": False,
            "schema": {"type": "array", "items": {"type": "string"}},
            "description": "value of the declared attribute NAME, like attr.colour=black; repeatable",
        }
    ]
}
"""The part of an OpenAPI description that a model can't say."""


def _as_list(value: Any) -> Any:
    return [value] if isinstance(value, str) else value


Names = Annotated[list[Annotated[str, Field(max_length=1024)]], BeforeValidator(_as_list)]
Paths = Annotated[list[CategoryPath], BeforeValidator(_as_list)]
Bound = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
AttributeFilter = Annotated[
    list[Annotated[str, Field(max_length=MAX_ATTRIBUTE_LENGTH)] | int | float | bool],
    BeforeValidator(lambda value: value if isinstance(value, list) else [value]),
    Field(min_length=1, max_length=256),
]
Ids = Annotated[
    list[Annotated[str, Field(min_length=1, max_length=128)]],
    BeforeValidator(_as_list),
    Field(max_length=MAX_PRODUCTS),
]


class _Filters(BaseModel):
    category: Paths = Field([], description="any of these categories, or below; repeatable", max_length=64)
    brand: Names = Field([], description="any of these brands; repeatable", max_length=64)
    price_min: Bound | None = Field(None, description="lowest price, inclusive")
    price_max: Bound | None = Field(None, description="highest price, inclusive")
    in_stock: bool | None = Field(None, description="only what is, or is not, in stock")
    duplicate: bool | None = Field(
        None, description="only what was, or was not, flagged as a duplicate when its photos came"
    )

    def _where(self, attributes: Mapping[str, tuple[Scalar, ...]]) -> Filter:
        return Filter(
            category=tuple(self.category),
            brand=tuple(self.brand),
            price_min=self.price_min,
            price_max=self.price_max,
            in_stock=self.in_stock,
            duplicate=self.duplicate,
            attributes=attributes,
        )


class FlatFilters(_Filters):
    """Filters as query parameters or form fields; `attr.NAME=VALUE` filters on a declared attribute."""

    model_config = ConfigDict(extra="allow")

    def where(self) -> Filter:
        """The filter that the parameters say.

        Raises:
            InvalidQuery: one is unknown; it is named.
        """
        attributes: dict[str, tuple[Scalar, ...]] = {}
        for name, value in (self.model_extra or {}).items():
            if not name.startswith(_ATTRIBUTE):
                raise InvalidQuery(name, f"unknown parameter; known are {', '.join(self._known())}")
            values = value if isinstance(value, list) else [value]
            if not all(isinstance(text, str) for text in values):
                raise InvalidQuery(name, "must be a text, not a file")
            attributes[name.removeprefix(_ATTRIBUTE)] = tuple(values)  # the index compares as text
        return self._where(attributes)

    @classmethod
    def _known(cls) -> list[str]:
        return [*cls.model_fields, f"{_ATTRIBUTE}NAME"]


class FilterBody(_Filters):
    """Filters as a JSON object. Any value of one field may match, all fields must."""

    model_config = ConfigDict(extra="forbid")

    attributes: dict[str, AttributeFilter] = Field(
        {}, max_length=64, description="declared attributes: a value or a list of values each"
    )

    def where(self) -> Filter:
        """The filter that the object says."""
        return self._where({name: tuple(values) for name, values in self.attributes.items()})


class _Rules(BaseModel):
    limit: int = Field(12, ge=1, le=MAX_LIMIT, description="answers, at most")
    offset: int = Field(0, ge=0, lt=MAX_WINDOW, description="answers to skip; offset + limit <= 1000")
    min_score: float | None = Field(None, ge=-1, le=1, description="least cosine of an answer")
    diversity: float = Field(0, ge=0, le=1, description="0: by likeness alone; 1: by variety alone")
    group: bool = Field(
        False, description="one product a variant family (group_id) at most, none of the asked ones"
    )

    def rules(self) -> dict[str, Any]:
        """These fields as arguments of a `Question`."""
        return {name: getattr(self, name) for name in _Rules.model_fields}


class SimilarParameters(FlatFilters, _Rules):
    """The parameters of a question by product."""


class UploadForm(SimilarParameters):
    """A question by photo."""

    file: UploadFile = Field(description="the photo: JPEG, PNG, WebP, GIF or AVIF")


class ListParameters(FlatFilters):
    """The parameters of the product list."""

    limit: int = Field(24, ge=1, le=MAX_LIMIT, description="products a page, at most")
    cursor: UUID | None = Field(None, description="`cursor` of the page before")


class ProductParameters(BaseModel):
    """The parameters of one product."""

    model_config = ConfigDict(extra="forbid")

    vectors: bool = Field(False, description="answer the embeddings of its images too")


class ThumbnailParameters(BaseModel):
    """The parameters of a thumbnail."""

    model_config = ConfigDict(extra="forbid")

    px: int = Field(320, ge=16, le=1024, description="longer side in pixels, at most")


class SimilarRequest(_Rules):
    """A question by products, an image or a text; products and image_url may be mixed."""

    model_config = ConfigDict(extra="forbid")

    positive: Ids = Field([], description="ids of products; an answer is like any of them")
    negative: Ids = Field(
        [], description="ids of products; what is more like one of them than like the positives is dropped"
    )
    text: str | None = Field(None, max_length=1024, description="where the encoder reads text")
    image_url: str | None = Field(None, max_length=2048, description="an image of an allowed host or bucket")
    filter: FilterBody = Field(default_factory=FilterBody)

    def question(self) -> Question:
        """The question that the request asks."""
        return Question(
            positive=tuple(self.positive),
            negative=tuple(self.negative),
            text=self.text,
            image_url=self.image_url,
            where=self.filter.where(),
            **self.rules(),
        )
