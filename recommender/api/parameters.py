"""Questions on the wire: query parameters, form fields and JSON bodies."""

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import UploadFile
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from recommender.api.filters import FilterBody, FlatFilters, Id, as_list
from recommender.question import (
    MAX_LIMIT,
    MAX_PRICE_WITHIN,
    MAX_PRODUCTS,
    MAX_QUESTIONS,
    POOL,
    Question,
    Step,
    Weighted,
)

Ids = Annotated[list[Id], BeforeValidator(as_list), Field(max_length=MAX_PRODUCTS)]
_Steps = Annotated[list[Step], Field(max_length=16)]
Steps = Annotated[_Steps, BeforeValidator(as_list, json_schema_input_type=Step | _Steps)]


class _Rules(BaseModel):
    price_within: float | None = Field(
        None,
        ge=0,
        le=MAX_PRICE_WITHIN,
        description="a price within this share of the positive products': 0.2 is 20% less to 20% more",
    )
    not_dearer: bool = Field(False, description="not dearer than the positive products")
    seed_brand: Literal["same", "other"] | None = Field(
        None, description="of the positive products' brand, or of others"
    )
    exclude_family: bool = Field(False, description="none of the positive products' own variant families")
    limit: int = Field(12, ge=1, le=MAX_LIMIT, description="answers, at most")
    offset: int = Field(0, ge=0, lt=POOL, description=f"answers to skip; offset + limit <= {POOL}")
    min_score: float | None = Field(None, ge=-1, le=1, description="least cosine of an answer")
    diversity: float = Field(0, ge=0, le=1, description="0: by likeness alone; 1: by variety alone")
    group: bool = Field(
        False, description="one product a variant family (group_id) at most, none of the asked ones"
    )
    brand_cap: int | None = Field(None, ge=1, le=MAX_LIMIT, description="products of one brand, at most")
    relax: Steps = Field(
        [], description="steps that widen the filter, in this order, while fewer than `limit` are found"
    )

    def rules(self) -> dict[str, Any]:
        """These fields as arguments of a `Question`."""
        rules = {name: getattr(self, name) for name in _Rules.model_fields}
        return {**rules, "relax": tuple(self.relax)}


class SimilarParameters(FlatFilters, _Rules):
    """The parameters of a question by product."""


class UploadForm(SimilarParameters):
    """A question by photo; products and a text may be mixed in."""

    file: UploadFile = Field(description="the photo: JPEG, PNG, WebP, GIF or AVIF")
    positive: Ids = Field([], description="ids of products that an answer may be like too; repeatable")
    negative: Ids = Field([], description="ids of products that an answer must not be like; repeatable")
    text: Annotated[str, Field(max_length=1024)] | None = Field(
        None, description="moves the photo towards it, where the encoder reads text"
    )
    text_weight: float = Field(0.5, ge=0, le=1, description="how far")

    def question(self, photo: bytes) -> Question:
        """The question that the form asks."""
        return Question(
            positive=tuple(self.positive),
            negative=tuple(self.negative),
            image=photo,
            text=self.text,
            text_weight=self.text_weight,
            where=self.where(),
            **self.rules(),
        )


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


class FacetParameters(FlatFilters):
    """What is counted, for which filter."""

    field: Annotated[list[str], BeforeValidator(as_list), Field(min_length=1, max_length=16)] = Field(
        description="category, brand or attr.NAME of a declared attribute; repeatable"
    )


class WeightedId(BaseModel):
    """A product, and how much its likeness counts."""

    model_config = ConfigDict(extra="forbid")

    id: Id
    weight: float = Field(1, gt=0, le=1)

    def weighted(self) -> Weighted:
        """The same as data."""
        return Weighted(self.id, self.weight)


def _id_as_weighted(value: Any) -> Any:
    return {"id": value} if isinstance(value, str) else value


_WeightedIds = Annotated[
    list[Annotated[WeightedId, BeforeValidator(_id_as_weighted, json_schema_input_type=Id | WeightedId)]],
    Field(max_length=MAX_PRODUCTS),
]
WeightedIds = Annotated[_WeightedIds, BeforeValidator(as_list, json_schema_input_type=Id | _WeightedIds)]


class SimilarRequest(_Rules):
    """A question by products, an image or a text, alone or mixed."""

    model_config = ConfigDict(extra="forbid")

    positive: WeightedIds = Field([], description="products; an answer is like any of them")
    negative: WeightedIds = Field(
        [], description="products; what is more like one of them than like the positives is dropped"
    )
    text: str | None = Field(
        None,
        max_length=1024,
        description="where the encoder reads text; beside products or an image, it moves them towards it",
    )
    text_weight: float = Field(0.5, ge=0, le=1, description="how far")
    image_url: str | None = Field(None, max_length=2048, description="an image of an allowed host or bucket")
    filter: FilterBody = Field(default_factory=FilterBody)

    def question(self) -> Question:
        """The question that the request asks."""
        return Question(
            positive=tuple(one.weighted() for one in self.positive),
            negative=tuple(one.weighted() for one in self.negative),
            text=self.text,
            text_weight=self.text_weight,
            image_url=self.image_url,
            where=self.filter.where(),
            **self.rules(),
        )


class BatchRequest(BaseModel):
    """Many questions in one call."""

    model_config = ConfigDict(extra="forbid")

    questions: list[SimilarRequest] = Field(min_length=1, max_length=MAX_QUESTIONS)
