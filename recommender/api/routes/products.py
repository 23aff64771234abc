"""The catalog as the index knows it: products, their images, categories."""

import hashlib
from http import HTTPStatus
from typing import Annotated

from fastapi import APIRouter, Depends, Header, HTTPException, Path, Query, Response

from recommender.api.dependencies import Configured, Owned, ProductIdInPath, Serving, no_parameters
from recommender.api.filters import ATTRIBUTE_PARAMETER
from recommender.api.models import (
    CatalogView,
    CategoryCounts,
    FacetCounts,
    ProductList,
    ProductView,
    ProductWithVectors,
    product_list,
    product_view,
    product_with_vectors,
)
from recommender.api.parameters import (
    FacetParameters,
    ListParameters,
    ProductParameters,
    ThumbnailParameters,
)
from recommender.api.problems import responses
from recommender.images.decode import thumbnail
from recommender.index.protocol import IndexedImage, StoredProduct

router = APIRouter(prefix="/v1", tags=["catalog"])
_CACHING = "private, max-age=3600"


@router.get("/categories", responses=responses(401, 503), dependencies=[Depends(no_parameters)])
def categories(pair: Serving) -> CategoryCounts:
    """Searchable products by category path, sorted by path; a category counts what is below it."""
    return CategoryCounts(categories=pair.recommender.categories())


@router.get("/facets", responses=responses(400, 401, 503), openapi_extra=ATTRIBUTE_PARAMETER)
def facets(parameters: Annotated[FacetParameters, Query()], pair: Serving) -> FacetCounts:
    """How many searchable products a filter matches, by category, brand or attribute."""
    where = parameters.where()
    counts = {field: pair.recommender.facet(field, where) for field in parameters.field}
    return FacetCounts(facets=counts, total=pair.recommender.count(where))


@router.get("/catalog", responses=responses(401), dependencies=[Depends(no_parameters)])
def catalog(pair: Serving, settings: Configured) -> CatalogView:
    """What can be asked of this catalog."""
    return CatalogView(
        catalog=settings.catalog,
        encoder=pair.fingerprint,
        text=pair.encoder.spec.text_tower,
        attributes=list(settings.index.attributes),
        max_upload_bytes=settings.api.max_upload_bytes,
    )


@router.get("/products", responses=responses(400, 401, 503), openapi_extra=ATTRIBUTE_PARAMETER)
def list_products(parameters: Annotated[ListParameters, Query()], pair: Serving) -> ProductList:
    """Products that a filter matches, in a stable order, a page at a time."""
    cursor = str(parameters.cursor) if parameters.cursor else None
    page = pair.recommender.products(parameters.where(), limit=parameters.limit, cursor=cursor)
    return product_list(page)


@router.get(
    "/products/{product_id:path}/images/{n:int}",
    response_class=Response,
    responses={
        200: {"content": {"image/jpeg": {}}, "description": "The thumbnail"},
        304: {"description": "The one that the client has is current"},
        **responses(400, 401, 403, 404, 413, 422, 503),
    },
)
def product_image(  # noqa: PLR0917  # FastAPI passes them by name
    product_id: ProductIdInPath,
    n: Annotated[int, Path(ge=0, description="which image of the product, from 0")],
    parameters: Annotated[ThumbnailParameters, Query()],
    pair: Serving,
    resources: Owned,
    settings: Configured,
    if_none_match: Annotated[str | None, Header()] = None,
) -> Response:
    """A JPEG of one image of a product, within px x px pixels."""
    image, px = _image(pair.recommender.product(product_id), n), parameters.px
    if image.error is not None:  # reading it may end the process that does
        raise HTTPException(422, f"it could not be embedded, so it isn't shown: {image.error}")
    # A client that has what was embedded costs one conditional read, and no pixels.
    unchanged = if_none_match is not None and image.etag is not None and _tag(image.etag, px) in if_none_match
    fetched = resources.source.fetch(image.uri, etag=image.etag if unchanged else None)
    if fetched is None:
        headers = {"ETag": if_none_match or "", "Cache-Control": _CACHING}
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    tag = _tag(fetched.etag or hashlib.sha256(fetched.data).hexdigest(), px)
    headers = {"ETag": tag, "Cache-Control": _CACHING, "X-Content-Type-Options": "nosniff"}
    if if_none_match is not None and tag in if_none_match:
        return Response(status_code=HTTPStatus.NOT_MODIFIED, headers=headers)
    jpeg = thumbnail(fetched.data, name=image.uri, px=px, max_pixels=settings.images.max_pixels)
    return Response(jpeg, media_type="image/jpeg", headers=headers)


@router.get("/products/{product_id:path}", responses=responses(400, 401, 404, 503))
def product(
    product_id: ProductIdInPath, parameters: Annotated[ProductParameters, Query()], pair: Serving
) -> ProductView | ProductWithVectors:
    """One product, its patches applied; with its embeddings where `vectors` is true."""
    stored = pair.recommender.product(product_id, vectors=parameters.vectors)
    return product_with_vectors(stored) if parameters.vectors else product_view(stored)


def _image(stored: StoredProduct, n: int) -> IndexedImage:
    """The n-th image as the product lists them; the index keeps one that is listed twice once."""
    listed = stored.state.product.images if stored.state.product else ()
    if n >= len(listed):
        raise HTTPException(404, f"product {stored.id!r} has {len(listed)} images, counted from 0")
    uri = listed[n].uri
    return next((image for image in stored.images if image.uri == uri), IndexedImage(uri))


def _tag(etag: str, px: int) -> str:
    return f'"{hashlib.sha256(f"{etag} {px}".encode()).hexdigest()[:32]}"'
