"""Answers on the wire."""

from typing import Any

from pydantic import BaseModel, Field

from recommender.catalog import Answer, Product
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


class Item(_Document, _Scored):
    """One answer."""


class SimilarAnswer(BaseModel):
    """The answers, best first."""

    items: list[Item]
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


class Health(BaseModel):
    """A probe that succeeded."""

    status: str


def similar_answer(answer: Answer) -> SimilarAnswer:
    """Shape an answer."""
    items = [Item(**_document(item.product), score=round(item.score, 6)) for item in answer.items]
    return SimilarAnswer(items=items, encoder=answer.encoder, took_ms=answer.took_ms)


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
