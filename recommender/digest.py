"""What a product document says, as 16 hex digits: the same for the same, however it is written."""

import hashlib
from collections.abc import Mapping
from typing import Any

from recommender.events import canonical_json

_NOT_SAID = ("version", "trace_id")
"""A catalog that is exported anew may count versions up where nothing has changed."""


def digest_of(document: Mapping[str, Any]) -> str:
    """16 hex digits of the SHA-256 of what a product document says, its version aside, as canonical JSON.

    `document` is a valid document of `products.upsert`, as it is written or as `Product.model_dump` gives
    it. One that is not valid has a digest too, which no valid one has, or raises TypeError.
    """
    said = {name: value for name, value in document.items() if name not in _NOT_SAID and value is not None}
    if said.get("in_stock") is True:
        del said["in_stock"]
    if not said.get("attributes", True):
        del said["attributes"]
    category = said.get("category")
    if isinstance(category, str):
        said["category"] = [category]
    images = said.get("images")
    if isinstance(images, list | tuple):
        said["images"] = [_image(image) for image in images]
    price = said.get("price")
    if isinstance(price, int) and not isinstance(price, bool):
        said["price"] = float(price)
    return hashlib.sha256(canonical_json(said).encode(errors="surrogatepass")).hexdigest()[:16]


def _image(image: Any) -> Any:
    if isinstance(image, Mapping) and set(image) <= {"uri", "role"} and image.get("role") is None:
        return image.get("uri")
    return image
