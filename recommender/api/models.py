"""Answers on the wire."""

from collections.abc import Callable, Sequence
from typing import Any, Literal

from pydantic import BaseModel, Field

from recommender.api.problems import Problem, problem_of
from recommender.catalog import Answer, Match, Product, Relaxation
from recommender.errors import LookalikeError
from recommender.index.protocol import Page, StoredProduct


class ImageView(BaseModel):
    """An image of a product that has a role."""

    uri: str
    role: str


class EmbeddedImage(BaseModel):
    """An image of a product, beside the product's vectors."""

    uri: str
    role: str | None
    row: int | None = Field(description="its row in `vectors`; null where it could not be embedded")


class _Fields(BaseModel):
    """The catalog's fields of a product but its images, in the forms of the wire format."""

    category: str | list[str] = Field(description="a path, or a list of paths where there are several")
    title: str | None
    brand: str | None
    price: float | None
    currency: str | None
    in_stock: bool
    group_id: str | None
    url: str | None
    attributes: dict[str, Any]


class _Document(_Fields):
    images: list[str | ImageView] = Field(description="URIs; an object where the image has a role")


class _Scored(BaseModel):
    id: str
    score: float = Field(description="cosine of the best pair of images, -1 to 1")


class MatchView(BaseModel):
    """Which image of an answer is like which image that was asked about; both count from 0."""

    asked: str | None = Field(description="the product whose image it is; null for a photo or a text")
    asked_image: int | None = Field(description="which of that product's images")
    image: int = Field(description="which of the answer's images")


class Item(_Document, _Scored):
    """One answer."""

    match: MatchView


class RelaxedAttributes(BaseModel):
    """Attributes are not filtered on any more."""

    step: Literal["attributes"]
    dropped: list[str]


class RelaxedPrice(BaseModel):
    """The price is filtered on within wider bounds."""

    step: Literal["price"]
    price_min: float | None
    price_max: float | None


class RelaxedCategory(BaseModel):
    """The parent categories are filtered on."""

    step: Literal["category"]
    category: list[str]


class _Answers(BaseModel):
    items: list[Item]
    relaxed: list[RelaxedAttributes | RelaxedPrice | RelaxedCategory] = Field(
        description="the steps by which the filter was widened, in their order"
    )


class SimilarAnswer(_Answers):
    """The answers, best first."""

    encoder: str = Field(description="fingerprint of the encoder that compared")
    took_ms: float


class OneAnswer(_Answers):
    """The answers to one question of several."""


class NoAnswer(BaseModel):
    """What is wrong with one question of several."""

    problem: Problem


class BatchAnswer(BaseModel):
    """An answer a question, in their order."""

    answers: list[OneAnswer | NoAnswer]
    encoder: str = Field(description="fingerprint of the encoder that compared")
    took_ms: float


class DuplicateView(BaseModel):
    """The product that another one looked the same as."""

    id: str
    score: float = Field(description="cosine of the best pair of images")


class _Indexed(BaseModel):
    id: str
    version: int
    searchable: bool = Field(description="whether at least one image could be embedded")
    duplicate_of: DuplicateView | None = Field(
        description="what it looked the same as when its photos came, where the worker flags duplicates"
    )


class ProductView(_Document, _Indexed):
    """One product of the index."""


class ProductWithVectors(_Fields, _Indexed):
    """One product of the index, and the embeddings of its images."""

    images: list[EmbeddedImage]
    vectors: list[list[float]] = Field(description="embeddings of unit L2 norm; each image names its row")


class ProductList(BaseModel):
    """One page of products, in a stable order."""

    items: list[ProductView]
    cursor: str | None = Field(description="asks for the next page; null on the last")


class CategoryCounts(BaseModel):
    """Searchable products by category path; a category counts what is below it."""

    categories: dict[str, int]


class FacetCounts(BaseModel):
    """Searchable products that the filter matches, by value of each field, most frequent first."""

    facets: dict[str, dict[str, int]]
    total: int = Field(description="all of them")


class CatalogView(BaseModel):
    """What can be asked of this catalog."""

    catalog: str
    encoder: str = Field(description="fingerprint of the encoder that compares")
    text: bool = Field(description="whether it reads text")
    attributes: list[str] = Field(description="declared attributes, which can be filtered on")
    max_upload_bytes: int = Field(description="size of a photo, at most")


class Health(BaseModel):
    """A probe that succeeded."""

    status: str


def similar_answer(answer: Answer) -> SimilarAnswer:
    """Shape an answer."""
    return SimilarAnswer(**_answers(answer), encoder=answer.encoder, took_ms=answer.took_ms)


def batch_answer(answers: Sequence[Answer | LookalikeError], *, encoder: str, took_ms: float) -> BatchAnswer:
    """Shape the answers to several questions."""
    shaped = [
        OneAnswer(**_answers(answer)) if isinstance(answer, Answer) else NoAnswer(problem=problem_of(answer))
        for answer in answers
    ]
    return BatchAnswer(answers=shaped, encoder=encoder, took_ms=took_ms)


def product_view(stored: StoredProduct) -> ProductView:
    """Shape a live product."""
    product = _live(stored)
    return ProductView(**_document(product), **_indexed(stored, product))


def product_with_vectors(stored: StoredProduct) -> ProductWithVectors:
    """Shape a live product that was read with its vectors."""
    product = _live(stored)
    assert stored.vectors is not None, "it was read without its vectors"
    row = {image.uri: image.row for image in stored.images}
    return ProductWithVectors(
        **_fields(product),
        **_indexed(stored, product),
        images=[
            EmbeddedImage(uri=image.uri, role=image.role, row=row.get(image.uri)) for image in product.images
        ],
        vectors=stored.vectors.tolist(),
    )


def product_list(page: Page) -> ProductList:
    """Shape a page of live products."""
    return ProductList(items=[product_view(stored) for stored in page.products], cursor=page.cursor)


def _answers(answer: Answer) -> dict[str, Any]:
    items = [
        Item(**_document(item.product), score=round(item.score, 6), match=_match(item.match))
        for item in answer.items
    ]
    return {"items": items, "relaxed": [_RELAXED[step.step](step) for step in answer.relaxed]}


def _match(match: Match) -> MatchView:
    return MatchView(asked=match.asked, asked_image=match.asked_image, image=match.image)


_RELAXED: dict[str, Callable[[Relaxation], RelaxedAttributes | RelaxedPrice | RelaxedCategory]] = {
    "attributes": lambda step: RelaxedAttributes(step="attributes", dropped=list(step.dropped)),
    "price": lambda step: RelaxedPrice(step="price", price_min=step.price_min, price_max=step.price_max),
    "category": lambda step: RelaxedCategory(step="category", category=list(step.category)),
}


def _live(stored: StoredProduct) -> Product:
    product = stored.state.product
    assert product is not None, "only live products are shown"
    return product


def _indexed(stored: StoredProduct, product: Product) -> dict[str, Any]:
    searchable = any(image.row is not None for image in stored.images)
    known = stored.duplicate_of
    duplicate_of = DuplicateView(id=known.id, score=known.score) if known else None
    return {"version": product.version, "searchable": searchable, "duplicate_of": duplicate_of}


def _document(product: Product) -> dict[str, Any]:
    images = [
        image.uri if image.role is None else ImageView(uri=image.uri, role=image.role)
        for image in product.images
    ]
    return {**_fields(product), "images": images}


def _fields(product: Product) -> dict[str, Any]:
    said = product.model_dump(exclude={"version", "images", "category"})
    return {**said, "category": _one_or_all(product.category)}


def _one_or_all(paths: tuple[str, ...]) -> str | list[str]:
    return paths[0] if len(paths) == 1 else list(paths)
