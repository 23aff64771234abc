"""The embeddings of the catalog, a page at a time, for what compares all of it with all of it."""

import base64
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, Field

from recommender.api.dependencies import Serving
from recommender.api.filters import ATTRIBUTE_PARAMETER, FlatFilters
from recommender.api.problems import responses
from recommender.index.protocol import StoredProduct
from recommender.question import MAX_LIMIT

router = APIRouter(prefix="/v1", tags=["catalog"])


class EmbeddingParameters(FlatFilters):
    """The parameters of a page of embeddings."""

    limit: int = Field(MAX_LIMIT, ge=1, le=MAX_LIMIT, description="products a page, at most")
    cursor: UUID | None = Field(None, description="`cursor` of the page before")


class EmbeddedProduct(BaseModel):
    """A product, as far as it takes to say what looks like what."""

    id: str
    title: str | None
    category: list[str]
    group_id: str | None
    images: list[int] = Field(description="for each row, which of the product's images it is of, from 0")
    uris: list[str] = Field(description="for each row, where its image lies")
    etags: list[str | None] = Field(
        description="for each row, the ETag of the bytes that were embedded; null where the source has none"
    )
    rows: str = Field(
        description="base64 of its rows: float32, little-endian, `dimension` each, unit L2 norm"
    )


class EmbeddingPage(BaseModel):
    """One page of searchable products, in a stable order."""

    items: list[EmbeddedProduct]
    encoder: str = Field(description="fingerprint of the encoder that embedded")
    dimension: int
    total: int | None = Field(description="how many products match; on the first page, null on the others")
    cursor: str | None = Field(description="asks for the next page; null on the last")


@router.get("/embeddings", responses=responses(400, 401, 503), openapi_extra=ATTRIBUTE_PARAMETER)
def embeddings(parameters: Annotated[EmbeddingParameters, Query()], pair: Serving) -> EmbeddingPage:
    """Embeddings of the searchable products that a filter matches, a page at a time.

    A page may hold fewer products than `limit` before the last one: those without an embedding are left out.
    """
    cursor = str(parameters.cursor) if parameters.cursor else None
    where = parameters.where()
    page = pair.recommender.products(where, limit=parameters.limit, cursor=cursor, vectors=True)
    items = [_embedded(stored) for stored in page.products]
    return EmbeddingPage(
        items=[item for item in items if item.images],
        encoder=pair.fingerprint,
        dimension=pair.encoder.spec.dimension,
        total=pair.index.count(where) if cursor is None else None,
        cursor=page.cursor,
    )


def _embedded(stored: StoredProduct) -> EmbeddedProduct:
    product = stored.state.product
    assert product is not None, "only live products are listed"
    assert stored.vectors is not None, "it was read with its vectors"
    known = {image.uri: image for image in stored.images}
    shown = {
        image.row: (number, image)
        for number, named in reversed(list(enumerate(product.images)))
        if (image := known.get(named.uri)) is not None and image.row is not None
    }
    rows = sorted(shown)
    return EmbeddedProduct(
        id=product.id,
        title=product.title,
        category=list(product.category),
        group_id=product.group_id,
        images=[shown[row][0] for row in rows],
        uris=[shown[row][1].uri for row in rows],
        etags=[shown[row][1].etag for row in rows],
        rows=base64.b64encode(stored.vectors[rows].astype("<f4").tobytes()).decode(),
    )
