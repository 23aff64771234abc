"""Everything that the index holds, in a few bytes a product: what the other checks compare with."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import groupby
from typing import Any

import numpy as np
from numpy.typing import NDArray

from worker.audit.texts import Texts
from worker.hashes import hash_of, plain_etag

STATUSES = ("searchable", "imageless", "stub", "deleted")
SEARCHABLE, IMAGELESS, STUB, DELETED = range(len(STATUSES))
PRODUCT = np.dtype(
    [
        ("id", "<u8"),
        ("digest", "<u8"),
        ("version", "<i8"),
        ("written_at", "<i8"),
        ("family", "<u8"),
        ("status", "u1"),
        ("foreign", "?"),
    ]
)
"""A point. `digest` is 0 where there is no document; `family` is the product itself where it has none;
`foreign`: another encoder has made its rows."""
IMAGE = np.dtype([("product", "<u4"), ("uri", "<u8"), ("etag", "<u8"), ("row", "<i2"), ("reason", "<i4")])
"""An image. `product` is the number of its point; `row` is -1 where it has none, and `reason` where nothing
failed."""
MOST_REASONS = 1000
Flags = NDArray[np.bool_]
"""(P,) or (I,) bool: for each product, or each image, in the census's order."""
Rows = NDArray[np.void]
Ask = Callable[[str, Mapping[str, Any]], dict[str, Any]]
"""Asks the query API for a path with parameters; patient."""
NOT_LOOKED_AT = "it was never embedded by this encoder"


@dataclass(frozen=True)
class Census:
    """`products` (P,) of PRODUCT with their `ids`, `images` (I,) of IMAGE with their `uris`.

    Images are in the order of their products; their reasons are numbers in `reasons`.
    """

    encoder: str
    products: Rows
    images: Rows
    ids: Texts
    uris: Texts
    reasons: tuple[str, ...]

    @cached_property
    def live(self) -> Flags:
        """(P,): products, found or not."""
        status: Flags = self.products["status"] <= IMAGELESS
        return status

    @cached_property
    def images_of_live(self) -> Flags:
        """(I,): images of live products."""
        flags: Flags = self.live[self.images["product"]]
        return flags

    @cached_property
    def _order(self) -> NDArray[np.int64]:
        return np.argsort(self.products["id"])

    @cached_property
    def _sorted(self) -> NDArray[np.uint64]:
        ids: NDArray[np.uint64] = self.products["id"][self._order]
        return ids

    def place(self, product_id: str) -> int | None:
        """The number of a product's point; None where the index has none."""
        wanted = np.uint64(hash_of(product_id))
        at = int(np.searchsorted(self._sorted, wanted))
        return int(self._order[at]) if at < len(self._sorted) and self._sorted[at] == wanted else None

    def by_product(self, chosen: Flags) -> Iterator[tuple[int, list[int]]]:
        """For each product that has chosen images, its number and theirs."""
        owner = self.images["product"]
        for product, images in groupby(np.flatnonzero(chosen).tolist(), key=lambda image: int(owner[image])):
            yield product, list(images)

    def reason(self, image: int) -> str:
        """Why an image could not be embedded."""
        number = int(self.images["reason"][image])
        return self.reasons[number] if number >= 0 else NOT_LOOKED_AT


class _Gathering:
    def __init__(self) -> None:
        self.ids, self.uris = Texts(), Texts()
        self._products: list[Rows] = []
        self._images: list[Rows] = []
        self._reasons: dict[str, int] = {}

    def add(self, encoder: str, items: Sequence[Mapping[str, Any]]) -> None:
        products = np.empty(len(items), PRODUCT)
        for at, item in enumerate(items):
            products[at] = (
                own := hash_of(item["id"]),
                int(item["digest"] or "0", 16),
                item["version"],
                item["written_at"],
                hash_of(f"family {item['group_id']}") if item["group_id"] is not None else own,
                STATUSES.index(item["status"]),
                item["encoder"] != encoder,
            )
        first = len(self.ids)
        images = [
            (
                first + at,
                hash_of(i["uri"]),
                hash_of(plain_etag(i["etag"])),
                -1 if i["row"] is None else i["row"],
                self._reason(i),
            )
            for at, item in enumerate(items)
            for i in item["images"]
        ]
        self._products.append(products)
        self._images.append(np.array(images, IMAGE))
        for item in items:
            self.ids.add(item["id"])
            for image in item["images"]:
                self.uris.add(image["uri"])

    def finish(self, encoder: str) -> Census:
        products, images = np.concatenate(self._products), np.concatenate(self._images)
        return Census(encoder, products, images, self.ids, self.uris, tuple(self._reasons))

    def _reason(self, image: Mapping[str, Any]) -> int:
        """The number of an error's text, which says it without the image's own name."""
        if image["error"] is None:
            return -1
        text = str(image["error"]).removeprefix(f"{image['uri']}: ").replace(image["uri"], "it")[:200]
        if text not in self._reasons and len(self._reasons) >= MOST_REASONS:
            text = "another reason"
        return self._reasons.setdefault(text, len(self._reasons))


def pages(ask: Ask) -> Iterator[dict[str, Any]]:
    """Every page of the census; the first says how many entries there are."""
    page = ask("/v1/census", {})
    yield page
    while page["cursor"] is not None:
        page = ask("/v1/census", {"cursor": page["cursor"]})
        yield page


def read_census(found: Iterator[dict[str, Any]], advance: Callable[[int], None]) -> Census:
    """Read all pages; `advance` is told how many entries each had."""
    gathering, encoder = _Gathering(), ""
    for page in found:
        encoder = page["encoder"]
        gathering.add(encoder, page["items"])
        advance(len(page["items"]))
    return gathering.finish(encoder)
