"""What the index shows against what the oracle says: whole documents, vectors, and what a search may find."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from recommender.api.models import product_with_vectors
from recommender.catalog import Filter
from recommender.errors import ProductNotFound
from recommender.index.protocol import ProductIndex
from recommender.similar import Recommender
from tests.chaos.pictures import embed
from tests.chaos.shuffle.oracle import Document, Sent, fold

Kind = Literal["lost", "stale", "resurrected", "report"]
_EVERYTHING = 1000


class Mismatch(AssertionError):
    """The index differs from the oracle."""

    def __init__(self, kind: Kind, what: str) -> None:
        super().__init__(f"{kind}: {what}")
        self.kind = kind


class Comparison:
    """Looks at one collection; it must hold less than `_EVERYTHING`."""

    def __init__(self, index: ProductIndex, recommender: Recommender, uris: Sequence[str]) -> None:
        self._index = index
        self._recommender = recommender
        self._rows = {uri: _row(uri) for uri in uris}
        self._searchable: set[str] = set()

    def check(self, when: str, ids: Sequence[str], sent: Sequence[Sent]) -> None:
        expected = {product: fold(one for one in sent if one[1]["id"] == product) for product in ids}
        for product, document in expected.items():
            self._check_product(when, product, document)
        self._searchable |= {
            product
            for product, document in expected.items()
            if document and any(self._rows[image["uri"]] is not None for image in document["images"])
        }
        self._check_searches(when)

    def _check_product(self, when: str, product: str, expected: Document | None) -> None:
        try:
            view = product_with_vectors(self._recommender.product(product, vectors=True)).model_dump()
        except ProductNotFound:
            if expected is None:
                return
            raise Mismatch("lost", f"{product} {when}: expected {expected}") from None
        if expected is None:
            raise Mismatch("resurrected", f"{product} {when}: {view}")
        vectors = view.pop("vectors")
        rows = {image["uri"]: image.pop("row") for image in view["images"]}
        searchable = view.pop("searchable")
        if view.pop("duplicate_of") is not None:
            raise Mismatch("stale", f"{product} {when}: flagged, though nothing is to be")
        shown = {**view, "attributes": _plain(view["attributes"])}
        if shown != expected:
            raise Mismatch("stale", f"{product} {when}: is {shown}, expected {expected}")
        wanted = {uri: self._rows[uri] for uri in rows}
        if searchable != any(row is not None for row in wanted.values()):
            raise Mismatch("stale", f"{product} {when}: searchable is {searchable}")
        if sorted(n for n in rows.values() if n is not None) != list(range(len(vectors))):
            raise Mismatch("stale", f"{product} {when}: {len(vectors)} vectors for the rows {rows}")
        for uri, row in wanted.items():
            n = rows[uri]
            if (n is None) != (row is None) or (
                row is not None and not np.allclose(vectors[n], row, atol=1e-4)
            ):
                raise Mismatch("stale", f"{product} {when}: row {n} is not the embedding of {uri}")

    def _check_searches(self, when: str) -> None:
        """A search for everything finds what must be found, and nothing else."""
        row = next(row for row in self._rows.values() if row is not None)
        found = {hit.stored.id for hit in self._index.search(row[None], Filter(), limit=_EVERYTHING)}
        if extra := found - self._searchable:
            raise Mismatch("resurrected", f"{when} a search finds {sorted(extra)}")
        if missing := self._searchable - found:
            raise Mismatch("lost", f"{when} no search finds {sorted(missing)}")
        if (counted := self._index.count(Filter())) != len(found):
            raise Mismatch("stale", f"{when} {counted} are counted, {len(found)} are found")


def _plain(attributes: dict[str, Any]) -> dict[str, Any]:
    """As JSON has them."""
    return {key: list(value) if isinstance(value, tuple) else value for key, value in attributes.items()}


def _row(uri: str) -> NDArray[np.float32] | None:
    """The embedding of an image, None where it can't have one."""
    path = Path(uri.removeprefix("file://"))
    if not path.exists() or not path.read_bytes().startswith(b"\x89PNG"):
        return None
    return embed(path.read_bytes())
