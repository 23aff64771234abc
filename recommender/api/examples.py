"""Examples for the OpenAPI description: one shop's boots, asked about in every way."""

from dataclasses import dataclass, field
from typing import Any

from recommender import errors
from recommender.api.problems import BODY_NOT_IN_TIME, KINDS, NOT_IN_TIME, OVERLOADED, RATE_LIMITED, body_of

_FINGERPRINT = "compact-1a2b3c4d5e6f"
_FIELDS: dict[str, Any] = {
    "category": "women/shoes/boots",
    "title": "Ankle boot",
    "brand": "Acme",
    "price": 89.9,
    "currency": "EUR",
    "in_stock": True,
    "group_id": "style-77",
    "url": "https://shop.example/p/sku-123",
    "attributes": {"colour": "black", "sizes": ["38", "39"]},
}
_IMAGE = "s3://shop-images/sku-123/front.jpg"
_PRODUCT = {
    "id": "sku-123",
    "version": 1732350000000,
    "searchable": True,
    **_FIELDS,
    "images": [_IMAGE],
    "duplicate_of": None,
}
_SIMILAR: dict[str, Any] = {
    "items": [
        {
            "id": "sku-456",
            "score": 0.912345,
            **_FIELDS,
            "title": "Chelsea boot",
            "group_id": "style-81",
            "url": "https://shop.example/p/sku-456",
            "images": ["s3://shop-images/sku-456/front.jpg"],
            "match": {"asked": "sku-123", "asked_image": 0, "image": 0},
        }
    ],
    "relaxed": [],
}
_SAID = {"encoder": _FINGERPRINT, "took_ms": 3.2}

PARAMETERS: dict[str, Any] = {
    "id": ["sku-123"],
    "product_id": "sku-123",
    "n": 0,
    "px": 320,
    "vectors": False,
    "limit": 12,
    "offset": 0,
    "cursor": "6f1c1f0e-9c3b-5d0e-8a55-0d6f3b7c2a11",
    "category": ["women/shoes"],
    "brand": ["Acme", "Bolt"],
    "price_min": 50,
    "price_max": 150,
    "currency": "EUR",
    "in_stock": True,
    "duplicate": False,
    "exclude_id": ["sku-9"],
    "exclude_brand": ["Zeta"],
    "price_within": 0.2,
    "not_dearer": True,
    "seed_brand": "other",
    "exclude_family": True,
    "min_score": 0.5,
    "diversity": 0.3,
    "group": True,
    "brand_cap": 2,
    "relax": ["attributes", "price"],
    "field": ["brand", "category"],
}
"""By the name of a query or path parameter."""


_PROBLEMS = {
    400: (KINDS[errors.InvalidQuery], "limit: Input should be less than or equal to 100"),
    401: (None, "give a valid key in the X-API-Key header"),
    403: (
        KINDS[errors.ImageNotAllowed],
        "https://other.example/a.jpg: its host is not on the allow-list",
    ),
    404: (KINDS[errors.ProductNotFound], "no product 'sku-124' is in the index"),
    408: (BODY_NOT_IN_TIME, "it did not arrive within 20 s"),
    409: (KINDS[errors.ProductNotSearchable], "product 'sku-123' has no image that could be embedded"),
    413: (KINDS[errors.ImageTooLarge], "the uploaded image: is larger than 16777216 bytes"),
    422: (KINDS[errors.ImageNotDecodable], "the uploaded image: it is not an image of a known format"),
    429: (RATE_LIMITED, "this caller's requests are used up; come again in 1 s"),
    503: (OVERLOADED, "64 requests are in hand; come again in 1 s"),
    504: (NOT_IN_TIME, "there was no answer within 20 s"),
}
PROBLEMS = {
    status: body_of(status, detail, kind, "limit" if status == 400 else None, "5c9d1f7ab0e34d22").model_dump(
        exclude_none=True
    )
    for status, (kind, detail) in _PROBLEMS.items()
}
"""By status."""


@dataclass(frozen=True, slots=True)
class Example:
    """A request and what answers it. Of a picture or a text for machines there is no answer here."""

    answer: Any = None
    bodies: dict[str, dict[str, Any]] = field(default_factory=dict)
    """By summary."""


OPERATIONS: dict[tuple[str, str], Example] = {
    ("get", "/healthz"): Example({"status": "alive"}),
    ("get", "/readyz"): Example({"status": "ready"}),
    ("get", "/metrics"): Example('lookalike_events_total{outcome="applied"} 128.0\n'),
    ("get", "/v1/categories"): Example(
        {"categories": {"women": 3, "women/shoes": 3, "women/shoes/boots": 2, "women/shoes/pumps": 1}}
    ),
    ("get", "/v1/facets"): Example(
        {"facets": {"brand": {"Acme": 2, "Bolt": 1}, "category": {"women": 3, "women/shoes": 3}}, "total": 3}
    ),
    ("get", "/v1/catalog"): Example(
        {
            "catalog": "lookalike",
            "encoder": _FINGERPRINT,
            "text": False,
            "attributes": ["colour", "sizes"],
            "max_upload_bytes": 16777216,
        }
    ),
    ("get", "/v1/census"): Example(
        {
            "items": [
                {
                    "id": "sku-123",
                    "status": "searchable",
                    "version": 1732350000000,
                    "digest": "0f1e2d3c4b5a6978",
                    "group_id": "style-77",
                    "encoder": _FINGERPRINT,
                    "written_at": 1732350003,
                    "images": [{"uri": _IMAGE, "etag": '"5d41402abc4b2a76"', "row": 0, "error": None}],
                }
            ],
            "encoder": _FINGERPRINT,
            "total": 1,
            "cursor": None,
        }
    ),
    ("get", "/v1/census/states"): Example({"states": {"sku-123": '{"base":[7,1,"0f1e2d3c4b5a6978"], ...}'}}),
    ("get", "/v1/embeddings"): Example(
        {
            "items": [
                {
                    "id": "sku-123",
                    "title": "Ankle boot",
                    "category": ["women/shoes/boots"],
                    "group_id": "style-77",
                    "images": [0],
                    "uris": ["s3://shop-images/sku-123/front.jpg"],
                    "etags": ["9b2cf535f27731c974343645a3985328"],
                    "rows": "mpkZP83MTD8=",
                }
            ],
            "encoder": _FINGERPRINT,
            "dimension": 2,
            "total": 1,
            "cursor": None,
        }
    ),
    ("get", "/v1/products"): Example({"items": [_PRODUCT], "cursor": PARAMETERS["cursor"]}),
    ("get", "/v1/products/{product_id}"): Example(_PRODUCT),
    ("get", "/v1/products/{product_id}/images/{n}"): Example(),
    ("get", "/v1/products/{product_id}/similar"): Example(_SIMILAR | _SAID),
    ("post", "/v1/similar"): Example(
        _SIMILAR | _SAID,
        {
            "like two products, and unlike a third": {
                "positive": ["sku-123", {"id": "sku-124", "weight": 0.5}],
                "negative": ["sku-9"],
                "filter": {
                    "category": ["women/shoes"],
                    "in_stock": True,
                    "attributes": {"colour": ["black"]},
                },
                "limit": 8,
            },
            "like an image by its address": {
                "image_url": "https://images.shop.example/look.jpg",
                "filter": {"price_min": 50, "price_max": 150},
                "diversity": 0.3,
                "group": True,
            },
            "like a text": {"text": "black ankle boots with a low heel", "min_score": 0.1},
        },
    ),
    ("post", "/v1/similar/batch"): Example(
        {"answers": [_SIMILAR, {"problem": PROBLEMS[404]}], **_SAID},
        {
            "two questions, one of a product that is unknown": {
                "questions": [
                    {"positive": ["sku-123"], "filter": {"in_stock": True}, "limit": 4},
                    {"positive": ["sku-124"]},
                ]
            }
        },
    ),
    ("post", "/v1/similar/image"): Example(
        _SIMILAR | _SAID,
        {"a photo, among boots": {"file": "photo.jpg", "category": ["women/shoes/boots"], "limit": 8}},
    ),
}
"""By method and path."""
