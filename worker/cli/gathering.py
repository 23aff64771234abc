"""A part of the catalog as commands gather it from the query API: its products and what they look like."""

import base64
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from io import BytesIO
from typing import Any

import numpy as np
from PIL import Image

from recommender.errors import InvalidQuery, QueryError, TransientError
from recommender.looks import Gathering, Looks, Places
from worker.cli.query import Api
from worker.contact_sheet import TILE_PX
from worker.progress import progress

_PAUSES_S = (1, 2, 4, 8)
"""Before a page is asked for again: minutes of work shall not end by a moment's overload."""


@dataclass(frozen=True, slots=True)
class Listed:
    """One product; its r-th row is of the image `images[r]`, counted from 0, with this URI and ETag."""

    id: str
    title: str | None
    category: tuple[str, ...]
    group_id: str | None
    images: tuple[int, ...]
    uris: tuple[str, ...]
    etags: tuple[str | None, ...]

    def as_json(self) -> dict[str, Any]:
        """As commands print it."""
        category = self.category[0] if len(self.category) == 1 else list(self.category)
        return {"id": self.id, "title": self.title, "category": category, "group_id": self.group_id}


@dataclass(frozen=True, slots=True)
class Gathered:
    """Searchable products, and at the same place in `looks` the rows of each."""

    encoder: str
    products: tuple[Listed, ...]
    looks: Looks

    @property
    def ids(self) -> tuple[str, ...]:
        """Of the products, in their order."""
        return tuple(product.id for product in self.products)

    @property
    def families(self) -> Places:
        """(P,): a number for each variant family, -1 where a product has none."""
        numbers: dict[str, int] = {}
        families = (product.group_id for product in self.products)
        return np.array(
            [-1 if family is None else numbers.setdefault(family, len(numbers)) for family in families],
            np.int64,
        )


def gather(api: Api, parameters: Mapping[str, Any], *, limit: int | None = None) -> Gathered:
    """Read the products that a filter matches, a page at a time; blocks until the last one.

    Pages come in the order of hashes of ids, so that the first `limit` are a random sample, always the same.

    Raises:
        QueryError: the filter is wrong, or no searchable product matches it.
        TransientError: the API could not answer, again and again; or another encoder took over meanwhile.
    """
    first = _page(api, parameters)
    if not first["total"]:
        raise InvalidQuery("filter", "no searchable product matches it")
    products: list[Listed] = []
    gathering = Gathering(first["dimension"])
    most = first["total"] if limit is None else min(limit, first["total"])
    with progress("reading", most) as advance:
        for page in _pages(api, parameters, first):
            wanted = page["items"] if limit is None else page["items"][: limit - len(products)]
            for item in wanted:
                rows = np.frombuffer(base64.b64decode(item["rows"]), "<f4")
                gathering.add(rows.reshape(-1, first["dimension"]))
                products.append(_listed(item))
            advance(len(wanted))
            if limit is not None and len(products) >= limit:
                break
    return Gathered(first["encoder"], tuple(products), gathering.finish())


def picture(api: Api, product: Listed, row: int) -> Image.Image | None:
    """The image that a row of a product is of; None where it can't be shown."""
    try:
        return Image.open(BytesIO(api.picture(product.id, product.images[row], TILE_PX)))
    except (QueryError, TransientError):
        return None


def _pages(api: Api, parameters: Mapping[str, Any], first: dict[str, Any]) -> Iterator[dict[str, Any]]:
    yield (page := first)
    while page["cursor"] is not None:
        page = _page(api, {**parameters, "cursor": page["cursor"]})
        if page["encoder"] != first["encoder"]:
            raise TransientError(
                f"{page['encoder']} took over from {first['encoder']} while the catalog was read, and "
                "embeddings of two encoders can't be compared: run the command again"
            )
        yield page


def _page(api: Api, parameters: Mapping[str, Any]) -> dict[str, Any]:
    return ask_patiently(api, "/v1/embeddings", parameters)


def ask_patiently(api: Api, path: str, parameters: Mapping[str, Any]) -> dict[str, Any]:
    """Ask, and again after pauses where the API could not answer.

    Raises:
        QueryError: the question is wrong.
        TransientError: the API could not answer, again and again.
    """
    for pause_s in _PAUSES_S:
        try:
            return api.ask("GET", path, params=parameters)
        except TransientError:
            time.sleep(pause_s)
    return api.ask("GET", path, params=parameters)


def _listed(item: Mapping[str, Any]) -> Listed:
    return Listed(
        item["id"],
        item["title"],
        tuple(item["category"]),
        item["group_id"],
        tuple(item["images"]),
        tuple(item["uris"]),
        tuple(item["etags"]),
    )
