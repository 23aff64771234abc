"""The index against the book: every product, as a whole and with its vectors, through the public API."""

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
from numpy.typing import NDArray

from tests.chaos.fold import Document
from tests.chaos.ledger import Ledger, read_letters
from tests.chaos.pictures import SAME, embed
from tests.chaos.scene import Scene

ASKERS = 4
ALLOWED_KEYS = ("_kombu.binding", "lookalike:")
"""What may be left in the broker: bindings, which hold no message, and the dead letters, judged apart."""


@dataclass(frozen=True)
class Verdict:
    """What is not as published; `problems` says each, and what else is wrong at the end."""

    lost: int
    stale: int
    resurrected: int
    problems: tuple[str, ...]


def judge(scene: Scene, ledger: Ledger) -> Verdict:
    """Compare everything; the worker serves, and nothing is left to do."""
    letters = read_letters(ledger.causes, scene.letters())
    counts = {"lost": len(letters.unexplained) + len(letters.missing), "stale": 0, "resurrected": 0}
    problems = [*letters.unexplained, *letters.missing]
    rows = Rows(scene.store.objects, ledger.broken)
    with ThreadPoolExecutor(ASKERS) as threads:
        ids = ledger.ids()
        for identity, found in zip(
            ids, threads.map(lambda identity: _ask(scene.api, identity), ids), strict=True
        ):
            allowed = list(ledger.may_be(identity, letters.excused))
            if any(rows.agree(found, document) for document in allowed):
                continue
            what = what_is_wrong(found, allowed[0])
            counts[what] += 1
            problems.append(f"{what}: {identity}: found {_brief(found)}, expected {_brief(allowed[0])}")
    return Verdict(**counts, problems=(*problems, *_leftovers(scene)))


def _ask(client: httpx.Client, identity: str) -> Document | None:
    response = client.get(f"/v1/products/{quote(identity, safe='')}", params={"vectors": "true"})
    if response.status_code == httpx.codes.NOT_FOUND:
        return None
    response.raise_for_status()
    found: Document = response.json()
    return found


@dataclass(frozen=True)
class Rows:
    """The pictures, and which of them can't be embedded."""

    pictures: Mapping[str, bytes]
    broken: set[str]

    def agree(self, found: Document | None, expected: Document | None) -> bool:
        """Whether this is that product: each field, each image, each vector."""
        if found is None or expected is None:
            return found is expected
        return self._fields_agree(found, expected) and self._images_agree(found, expected)

    def _fields_agree(self, found: Document, expected: Document) -> bool:
        apart = {"images", "vectors", "searchable", "duplicate_of", "trace_id"}
        return _without(found, apart) == _without(expected, apart)

    def _images_agree(self, found: Document, expected: Document) -> bool:
        listed = [_uri_of(image) for image in expected["images"]]
        whole = {uri for uri in listed if uri not in self.broken}
        vectors = np.asarray(found["vectors"], np.float32)
        return (
            [image["uri"] for image in found["images"]] == listed
            and found["searchable"] == bool(whole)
            and len(vectors) == len(whole)
            and all(self._row_agrees(image, vectors) for image in found["images"])
        )

    def _row_agrees(self, image: Document, vectors: NDArray[np.float32]) -> bool:
        row, uri = image["row"], image["uri"]
        if row is None or uri in self.broken:
            return row is None and uri in self.broken
        return bool(vectors[row] @ _embedded(self.pictures[uri]) >= SAME)


@lru_cache(8192)
def _embedded(picture: bytes) -> NDArray[np.float32]:
    return embed(picture)


def _without(document: Document, names: set[str]) -> Document:
    return {name: value for name, value in document.items() if name not in names}


def _uri_of(image: Any) -> str:
    uri: str = image if isinstance(image, str) else image["uri"]
    return uri


def what_is_wrong(found: Document | None, expected: Document | None) -> str:
    """Not reflected is lost; of another time is stale; gone and yet found is resurrected."""
    if expected is None:
        return "resurrected"
    return "lost" if found is None or found["version"] < expected["version"] else "stale"


def _brief(document: Document | None) -> str:
    if document is None:
        return "nothing"
    return str(_without(document, {"vectors"}))


def _leftovers(scene: Scene) -> list[str]:
    """Keys that should be gone from the broker; what ends by itself is not among them."""
    with scene.broker_client() as client:
        names = [name for name in client.scan_iter() if not name.startswith(ALLOWED_KEYS)]
        return [f"left in the broker: {name}" for name in sorted(names) if client.ttl(name) < 0]
