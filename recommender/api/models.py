"""Answers on the wire."""

from typing import Any

from pydantic import BaseModel, Field

from recommender.catalog import Answer, Product
from recommender.index.protocol import Page, StoredProduct


class ImageView(BaseModel):
    """An image of a product that has a role."""

    uri: str
    role: str


class _Document(BaseModel):
    """The catalog's fields of a product, in the forms of the wire format."""

    category: str | list[str] = Field(description="a path, or a list of paths where there are several")
    title: str | None
    brand: str | None
    price: float | None
    currency: str | None
    in_stock: bool
    group_id: str | None
    url: str | None
    images: list[str | ImageView] = Field(description="URIs; an object where the image has a role")
    attributes: dict[str, Any]


class _Scored(BaseModel):
    id: str
    score: float = Field(description="cosine of the best pair of images, -1 to 1")


class Item(_Document, _Scored):
    """One answer."""


class SimilarAnswer(BaseModel):
    """The answers, best first."""

    items: list[Item]
    encoder: str = Field(description="fingerprint of the encoder that compared")
    took_ms: float


class _Versioned(BaseModel):
    id: str
    version: int


class ProductView(_Document, _Versioned):
    """One product of the index."""

    searchable: bool = Field(description="whether at least one image could be embedded")


class ProductList(BaseModel):
    """One page of products, in a stable order."""

    items: list[ProductView]
    cursor: str | None = Field(description="asks for the next page; null on the last")


class CategoryCounts(BaseModel):
    """Searchable products by category path; a category counts what is below it."""

    categories: dict[str, int]


class Health(BaseModel):
    """A probe that succeeded."""

    status: str


def similar_answer(answer: Answer) -> SimilarAnswer:
    """Shape an answer."""
    items = [Item(**_document(item.product), score=round(item.score, 6)) for item in answer.items]
    return SimilarAnswer(items=items, encoder=answer.encoder, took_ms=answer.took_ms)


def product_view(stored: StoredProduct) -> ProductView:
    """Shape a live product."""
    product = stored.state.product
    assert product is not None, "only live products are shown"
    searchable = any(image.row is not None for image in stored.images)
    return ProductView(**_document(product), version=product.version, searchable=searchable)


def product_list(page: Page) -> ProductList:
    """Shape a page of live products."""
    return ProductList(items=[product_view(stored) for stored in page.products], cursor=page.cursor)


def _document(product: Product) -> dict[str, Any]:
    return {
        **product.model_dump(exclude={"version", "images", "category"}),
        "category": _one_or_all(product.category),
        "images": [
            image.uri if image.role is None else ImageView(uri=image.uri, role=image.role)
            for image in product.images
        ],
    }


def _one_or_all(paths: tuple[str, ...]) -> str | list[str]:
    return paths[0] if len(paths) == 1 else list(paths)
