"""Every valid request is answered 2xx, and with what brute force finds."""

from collections.abc import Iterator
from random import Random
from typing import Any
from urllib.parse import quote

import httpx
import numpy as np
import pytest

from recommender.events import Upsert
from recommender.index.protocol import IndexedImage, Write
from recommender.merge import UNKNOWN, merge
from tests.conftest import object_store
from tests.integration.api.oracle import (
    Known,
    counts,
    draw_catalog,
    draw_filter,
    draw_question,
    expected,
    flat,
    passes,
)
from tests.pixels import PixelEncoder
from tests.shop import opened_shop, served

Json = Any
TIED = 2e-6  # scores are answered with six decimals


@pytest.fixture(scope="module")
def known() -> list[Known]:
    return draw_catalog(Random(1), count=300, dimension=PixelEncoder.spec.dimension)  # noqa: S311


@pytest.fixture(scope="module")
def api(
    s3_endpoint: str, known: list[Known], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("shop")
    attributes = {"index": {"attributes": ["colour", "sizes", "heel"]}}
    with object_store(s3_endpoint, "oracle") as store, opened_shop(store, folder, **attributes) as shop:
        for start in range(0, len(known), 100):
            assert not shop.index.write([_write(product) for product in known[start : start + 100]])
        with served(shop) as client:
            yield client


def _write(product: Known) -> Write:
    images = tuple(IndexedImage(uri, None, n) for n, uri in enumerate(product.get("images")))
    state = merge(UNKNOWN, Upsert.model_validate(product.document))
    return Write(product.id, None, state, images, product.rows)


def _same(items: list[Json], wanted: list[Json]) -> None:
    """The same items in the same order, but for those whose scores are tied."""
    assert len(items) == len(wanted)
    for got, want in zip(items, wanted, strict=True):
        assert got["score"] == pytest.approx(want["score"], abs=TIED)
        if got["id"] != want["id"]:
            tied = {other["id"] for other in wanted if abs(other["score"] - want["score"]) < TIED}
            assert got["id"] in tied
        else:
            assert got["match"] == want["match"]


def _shown(item: Json, product: Known) -> None:
    for field, value in product.document.items():
        if field != "version":
            assert item[field] == value, field


@pytest.mark.parametrize("seed", range(150))
def test_a_question_is_answered_as_brute_force_answers_it(
    api: httpx.Client, known: list[Known], seed: int
) -> None:
    question = draw_question(Random(seed), known)  # noqa: S311
    response = api.post("/v1/similar", json=question)
    assert response.status_code == 200, response.text
    answer, wanted = response.json(), expected(question, known)
    _same(answer["items"], wanted)
    assert answer["relaxed"] == []
    assert answer["encoder"] == PixelEncoder.fingerprint
    by_id = {product.id: product for product in known}
    for item in answer["items"]:
        _shown(item, by_id[item["id"]])
    if len(question["positive"]) == 1 and "negative" not in question:
        path = f"/v1/products/{quote(question['positive'][0], safe='')}/similar"
        by_path = api.get(path, params=flat(question))
        assert by_path.status_code == 200, by_path.text
        assert by_path.json()["items"] == answer["items"]


def test_many_questions_in_one_call_are_answered_alike(api: httpx.Client, known: list[Known]) -> None:
    chance = Random(7)  # noqa: S311
    questions = [draw_question(chance, known) for _ in range(100)]
    response = api.post("/v1/similar/batch", json={"questions": questions})
    assert response.status_code == 200, response.text
    for question, answer in zip(questions, response.json()["answers"], strict=True):
        _same(answer["items"], expected(question, known))


def test_pages_join_to_the_whole(api: httpx.Client, known: list[Known]) -> None:
    question = {"positive": ["p-1", "p-2"], "group": True, "filter": {"in_stock": True}}
    pages = [
        api.post("/v1/similar", json={**question, "limit": 7, "offset": offset}).json()["items"]
        for offset in range(0, 105, 7)
    ]
    _same([item for page in pages for item in page], expected({**question, "limit": 105}, known))


@pytest.mark.parametrize("seed", range(40))
def test_a_filter_lists_and_counts_what_brute_force_finds(
    api: httpx.Client, known: list[Known], seed: int
) -> None:
    where = draw_filter(Random(seed))  # noqa: S311
    wanted = [product for product in known if passes(product, where)]
    pairs = flat({"filter": where})
    listed: list[Json] = []
    cursor: list[tuple[str, str]] = []
    while True:
        response = api.get("/v1/products", params=[*pairs, *cursor, ("limit", "31")])
        assert response.status_code == 200, response.text
        listed += response.json()["items"]
        if response.json()["cursor"] is None:
            break
        cursor = [("cursor", response.json()["cursor"])]
    assert sorted(item["id"] for item in listed) == sorted(product.id for product in wanted)
    fields = ["category", "brand", "attr.colour", "attr.sizes"]
    facets = api.get("/v1/facets", params=[*pairs, *(("field", field) for field in fields)])
    assert facets.status_code == 200, facets.text
    assert facets.json()["total"] == len(wanted)
    assert facets.json()["facets"] == {field: counts(wanted, field) for field in fields}


def test_every_product_is_shown_whole(api: httpx.Client, known: list[Known]) -> None:
    for product in known:
        response = api.get(f"/v1/products/{quote(product.id, safe='')}", params={"vectors": "true"})
        assert response.status_code == 200, response.text
        shown = response.json()
        rows = np.asarray(shown.pop("vectors"), dtype=np.float32)
        assert rows == pytest.approx(product.rows, abs=1e-6)
        assert [image["uri"] for image in shown.pop("images")] == product.get("images")
        for field, value in product.document.items():
            assert field == "images" or shown[field] == value
    assert api.get("/v1/categories").json()["categories"] == counts(known, "category")
