"""Were all answers right, and is every event there? By rows and a book that the software has no part in.

An answer is of one encoder, which it names. Its scores are the cosines of rows that are embedded here, from
the pictures; a product that nothing happened to, and that it leaves out, is less like the seed than its last;
and what it says of a product is no older than what had been acknowledged when the question was asked.
"""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from config.settings import EncoderSettings
from recommender.encoders.load import load_encoder
from recommender.encoders.preprocess import input_of
from recommender.index.protocol import ProductIndex
from tests.benchmarks.swap_pictures import path_of
from tests.benchmarks.swap_traffic import LIMIT, Asked, Catalog, Sent
from tests.chaos.shuffle.oracle import fold

Rows = NDArray[np.float32]
CLOSE = 2e-3
"""Cosines that differ less are equal: the worker may compute in another precision than we do here."""
AROUND_S = 10.0
"""A product that has events this close to a question is in flux, and may be in the answer or not."""


def embed(settings: EncoderSettings, root: Path, count: int) -> tuple[str, Rows]:
    """The encoder's fingerprint, and (count, D) float32 rows of unit norm of the pictures."""
    import torch  # noqa: PLC0415

    encoder = load_encoder(settings)
    how = encoder.spec.preprocessing
    rows = []
    for start in range(0, count, 64):
        numbers = range(start, min(count, start + 64))
        pixels = [
            input_of(path_of(root, n).read_bytes(), name=str(n), p=how, max_pixels=10**7) for n in numbers
        ]
        rows.append(encoder.encode_images(torch.stack(pixels)))
    return encoder.fingerprint, np.concatenate(rows)


@dataclass(frozen=True)
class History:
    """A product's events as they were acknowledged, and which picture it had after each of them."""

    sent: Sequence[Sent]
    acknowledged: Mapping[str, float]

    def is_calm(self, begun_at: float, ended_at: float) -> bool:
        """Whether nothing happened to it around a question."""
        return not any(
            one.at < ended_at + AROUND_S and self._done_at(one) > begun_at - AROUND_S for one in self.sent
        )

    def at(self, moment: float) -> dict[str, Any] | None:
        """What it was then, if nothing was in flight."""
        return fold((one.kind, one.document) for one in self.sent if self._done_at(one) <= moment)

    def oldest_title(self, begun_at: float) -> str:
        """The title that the events give which had been acknowledged before a question."""
        known = self.at(begun_at)
        return "" if known is None else str(known["title"])

    def _done_at(self, one: Sent) -> float:
        return self.acknowledged.get(one.message, float("inf"))


class Judge:
    """Checks answers, one after the other."""

    def __init__(self, catalog: Catalog, acknowledged: Mapping[str, float], rows: Mapping[str, Rows]) -> None:
        self._rows = rows
        self._histories = {
            product: History(sorted(sent, key=lambda one: one.at), acknowledged)
            for product, sent in catalog.events.items()
        }
        self._having: dict[int, set[str]] = {}
        """The products that have, or had, a picture."""
        for product, sent in catalog.events.items():
            for one in sent:
                if one.kind == "products.upsert":
                    self._having.setdefault(_picture(one.document), set()).add(product)

    def wrong(self, one: Asked) -> str | None:
        """Why an answer is wrong; None where it is right."""
        history = self._histories[one.seed]
        calm = history.is_calm(one.begun_at, one.ended_at)
        known = history.at(one.begun_at) if calm else None
        if one.status == 404 and known is None:
            return None
        if one.status != 200 or (calm and known is None):
            return f"{one.seed}, which is {known}: status {one.status}: {one.answer}"
        rows, items = self._rows.get(one.answer["encoder"]), one.answer["items"]
        if rows is None or len(items) != LIMIT:
            return f"{len(items)} items, not {LIMIT}, of {one.answer['encoder']}"
        stale = next(filter(None, (self._stale(item, one) for item in items)), None)
        # Which picture the seed had is known only where nothing happened to it.
        return stale if stale or known is None else self._unlike(one, rows, _picture(known))

    def _stale(self, item: Mapping[str, Any], one: Asked) -> str | None:
        history = self._histories[item["id"]]
        known = {f"v{sent.document['version']}" for sent in history.sent if sent.kind != "products.delete"}
        if item["title"] not in known:
            return f"{item['id']}: nobody ever said {item['title']}"
        oldest = history.oldest_title(one.begun_at)
        if not oldest and history.is_calm(one.begun_at, one.ended_at):
            return f"{item['id']} was deleted, and is answered"
        if oldest and int(item["title"][1:]) < int(oldest[1:]):
            return f"{item['id']}: {item['title']}, though {oldest} had been acknowledged"
        return None

    def _unlike(self, one: Asked, rows: Rows, seed: int) -> str | None:
        items = one.answer["items"]
        for item in items:
            cosine = float(rows[seed] @ rows[_picture(item)])
            if abs(cosine - item["score"]) > CLOSE:
                return f"{item['id']}: score {item['score']}, but the pictures' cosine is {cosine:.4f}"
        scores = [item["score"] for item in items]
        if scores != sorted(scores, reverse=True):
            return "not in the order of their scores"
        answered = {item["id"] for item in items} | {one.seed}
        cosines = rows @ rows[seed]
        for product in self._candidates(cosines, scores[-1] + CLOSE):
            history = self._histories[product]
            if product in answered or not history.is_calm(one.begun_at, one.ended_at):
                continue
            there = history.at(one.begun_at)
            if there is not None and cosines[_picture(there)] > scores[-1] + CLOSE:
                return f"{product} is missing, with {cosines[_picture(there)]:.4f} above {scores[-1]:.4f}"
        return None

    def _candidates(self, cosines: Rows, least: float) -> Iterable[str]:
        """Products that have, or had, a picture that is more alike than that."""
        return {
            product
            for picture in np.flatnonzero(cosines > least)
            for product in self._having.get(int(picture), ())
        }


def lost(index: ProductIndex, catalog: Catalog) -> list[str]:
    """The products whose state in an index is not what the shop's book says, each with what differs."""
    ids, found = list(catalog.events), []
    for start in range(0, len(ids), 256):
        page = ids[start : start + 256]
        stored = index.read(page)
        for product in page:
            expected = fold((one.kind, one.document) for one in catalog.events[product])
            one = stored.get(product)
            if difference := _difference(one, expected):
                found.append(f"{product}: {difference}")
    return found


def _difference(stored: Any, expected: Mapping[str, Any] | None) -> str:
    if stored is None:
        return "not there"
    product = stored.state.product
    if expected is None or product is None:
        return "" if expected is None and product is None else f"{product} instead of {expected}"
    if (product.version, product.title, product.price) != tuple(
        expected[name] for name in ("version", "title", "price")
    ):
        return f"version {product.version} instead of {expected['version']}"
    uris = [image["uri"] for image in expected["images"]]
    if [image.uri for image in stored.images if image.row is not None] != uris:
        return f"rows of {[image.uri for image in stored.images if image.row is not None]} instead of {uris}"
    return ""


def percentile(values: Sequence[float], share: float) -> float:
    """The value that this share of all is at most; 0 of none."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(share * len(ordered)))] if ordered else 0.0


def _picture(document: Mapping[str, Any]) -> int:
    image = document["images"][0]
    uri = image if isinstance(image, str) else image["uri"]
    return int(uri.rsplit("/", 1)[1].removesuffix(".jpg"))
