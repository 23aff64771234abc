"""A sample of the catalog, through the query API of whoever owns the index: rows, payloads, images."""

import json
from dataclasses import dataclass
from typing import Any

from config.settings import Settings
from recommender.errors import LookalikeError
from recommender.events import Upsert
from recommender.index.open import open_engine
from recommender.index.protocol import IndexedImage, Write
from recommender.index.schema import payload_of
from recommender.looks import Looks
from recommender.merge import UNKNOWN, merge
from worker.cli.gathering import gather
from worker.cli.query import open_api
from worker.owner import find_owner

DOCUMENTS = 64
"""Products whose documents are read, for their payloads and images."""
_ETAG = "9b2cf535f27731c974343645a3985328"


@dataclass(frozen=True, slots=True)
class Sample:
    """Part of a catalog, drawn by the ids of the points, which are hashes of the products'."""

    encoder: str
    looks: Looks
    payload_bytes: float
    uris: tuple[str, ...]


def draw(settings: Settings, products: int) -> Sample | str:
    """A sample of so many products, or why there is none. Nothing is created where there is no index.

    Raises:
        StartupError: the server of the index is too old.
        IndexUnavailable: it does not answer.
    """
    owned = settings.index_is_embedded and find_owner(settings.data_dir) is not None
    if not owned and not _serves(settings):
        return f"there is no index of the catalog {settings.catalog!r} at {settings.index_url} yet"
    try:
        with open_api() as api:
            gathered = gather(api, {}, limit=products)
            listed = api.ask("GET", "/v1/products", params={"limit": DOCUMENTS})
    except LookalikeError as error:
        return f"the index could not be asked: {error}"
    documents = [_document(item) for item in listed["items"]]
    sizes = [payload_size(document) for document in documents]
    uris = tuple(image.uri for document in documents for image in document.images)
    return Sample(gathered.encoder, gathered.looks, sum(sizes) / len(sizes), uris)


def payload_size(document: Upsert) -> int:
    """The JSON of a product's payload once all of its images are embedded, in bytes."""
    images = tuple(IndexedImage(image.uri, _ETAG, row) for row, image in enumerate(document.images))
    write = Write(document.id, None, merge(UNKNOWN, document), images, None)
    payload = payload_of(write, write_id=_ETAG, fingerprint="encoder-0123456789ab")
    return len(json.dumps(payload, ensure_ascii=False).encode())


def _serves(settings: Settings) -> bool:
    engine = open_engine(settings)
    try:
        return engine.serving() is not None
    finally:
        engine.close()


def _document(item: dict[str, Any]) -> Upsert:
    known = {name: item[name] for name in Upsert.model_fields if item.get(name) is not None}
    return Upsert.model_validate({"version": 1, **known})
