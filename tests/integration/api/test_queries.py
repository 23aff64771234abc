"""Questions over HTTP."""

from collections.abc import Sequence
from typing import Any
from urllib.parse import quote

import httpx
import pytest

from recommender.encoders.batcher import DynamicBatcher
from recommender.encoders.protocol import Embeddings
from recommender.errors import WeightsUnavailable
from recommender.similar import Recommender
from tests.shop import PixelEncoder, Shop, asking, draw, served

ITEM = {
    "id", "score", "category", "title", "brand", "price", "currency", "in_stock", "group_id", "url",
    "images", "attributes", "match",
}  # fmt: skip


def ids(response: httpx.Response) -> list[str]:
    assert response.status_code == 200, response.text
    return [item["id"] for item in response.json()["items"]]


def similar(api: httpx.Client, **parameters: Any) -> httpx.Response:
    return api.get("/v1/products/round-red-0/similar", params=parameters)


def test_the_answer_has_exactly_the_promised_shape(api: httpx.Client, catalog: Shop) -> None:
    answer = similar(api, limit=2).json()
    assert set(answer) == {"items", "relaxed", "encoder", "took_ms"}
    assert answer["encoder"] == catalog.index.fingerprint
    assert [set(item) for item in answer["items"]] == [ITEM, ITEM]
    first = answer["items"][0]
    assert first["id"] == "round-red-1"
    assert first["category"] == "shapes/round"
    assert first["attributes"] == {"colour": "red", "sizes": ["38", "39"], "weight": 2}
    assert all(uri.startswith("s3://") for uri in first["images"])


@pytest.mark.parametrize(
    ("parameters", "count", "holds"),
    [
        ({"category": "shapes/tall"}, 8, lambda item: item["category"] == "shapes/tall"),
        ({"category": ["shapes/tall", "shapes/square"]}, 16, lambda item: "round" not in item["category"]),
        ({"brand": "Bolt"}, 12, lambda item: item["brand"] == "Bolt"),
        ({"price_min": 20, "price_max": 23}, 8, lambda item: 20 <= item["price"] <= 23),
        ({"in_stock": "true"}, 11, lambda item: item["in_stock"]),
        ({"in_stock": "false"}, 12, lambda item: not item["in_stock"]),
        ({"attr.colour": "gold"}, 6, lambda item: item["attributes"]["colour"] == "gold"),
        ({"attr.colour": ["gold", "blue"], "attr.sizes": "38"}, 12, lambda _: True),
        ({"attr.sizes": "40"}, 0, lambda _: False),
        ({"min_score": 1}, None, lambda item: item["score"] >= 1),
        ({"group": "true"}, 11, lambda item: item["group_id"] != "round-red"),
        ({"offset": 20}, 3, lambda _: True),
        ({"currency": "EUR"}, 23, lambda _: True),
        ({"currency": "USD"}, 0, lambda _: False),
        ({"attr.sizes.min": 38.5}, 23, lambda _: True),
        ({"attr.sizes.min": 39.5}, 0, lambda _: False),
        ({"attr.sizes.min": 30, "attr.sizes.max": "38", "brand": "Bolt"}, 12, lambda _: True),
        ({"exclude_id": ["round-red-1", "tall-blue-0"]}, 21, lambda item: item["id"] != "round-red-1"),
        ({"exclude_brand": "Acme"}, 12, lambda item: item["brand"] == "Bolt"),
        ({"price_within": 0.15}, 3, lambda item: item["price"] <= 11.5),
        ({"not_dearer": "true"}, 1, lambda item: item["price"] <= 10),
        ({"seed_brand": "same"}, 11, lambda item: item["brand"] == "Acme"),
        ({"seed_brand": "other"}, 12, lambda item: item["brand"] == "Bolt"),
        ({"exclude_family": "true"}, 22, lambda item: item["group_id"] != "round-red"),
        ({"brand_cap": 2}, 4, lambda _: True),
    ],
)
def test_every_parameter_does_what_it_says(
    api: httpx.Client, parameters: dict[str, Any], count: int | None, holds: Any
) -> None:
    items = similar(api, limit=100, **parameters).json()["items"]
    assert all(holds(item) for item in items)
    assert count is None or len(items) == count


def test_diversity_changes_the_order(api: httpx.Client) -> None:
    assert ids(similar(api, diversity=0.7)) != ids(similar(api))


@pytest.mark.parametrize(
    ("parameters", "named"),
    [
        ({"color": "red"}, "color"),
        ({"attr.weight": "2"}, "attr.weight"),
        ({"limit": 0}, "limit"),
        ({"limit": 101}, "limit"),
        ({"limit": "many"}, "limit"),
        ({"offset": -1}, "offset"),
        ({"offset": 999, "limit": 100}, "offset"),
        ({"price_min": "cheap"}, "price_min"),
        ({"price_min": 2, "price_max": 1}, "price_min"),
        ({"in_stock": "perhaps"}, "in_stock"),
        ({"min_score": 2}, "min_score"),
        ({"diversity": "nan"}, "diversity"),
        ({"currency": "euro"}, "currency"),
        ({"attr.sizes.min": "small"}, "attr.sizes.min"),
        ({"attr.sizes.min": ["1", "2"]}, "attr.sizes.min"),
        ({"attr.sizes.min": 2, "attr.sizes.max": 1}, "attr.sizes.min"),
        ({"attr.weight.max": "2"}, "attr.weight"),
        ({"price_within": -1}, "price_within"),
        ({"seed_brand": "any"}, "seed_brand"),
        ({"brand_cap": 0}, "brand_cap"),
        ({"relax": "stock"}, "relax.0"),
    ],
)
def test_a_wrong_parameter_is_a_400_that_names_it(
    api: httpx.Client, parameters: dict[str, Any], named: str
) -> None:
    response = similar(api, **parameters)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    problem = response.json()
    assert problem["parameter"] == named
    assert named in problem["detail"]
    assert problem["status"] == 400
    assert problem["type"] == "urn:lookalike:problem:invalid-query"


def test_several_products_in_one_question(api: httpx.Client) -> None:
    body = {"positive": ["round-red-0", "tall-blue-0"], "limit": 2}
    assert set(ids(api.post("/v1/similar", json=body))) == {"round-red-1", "tall-blue-1"}
    body = {
        "positive": "round-red-0",
        "negative": ["square-red-0"],
        "filter": {"attributes": {"colour": "red"}, "in_stock": False},
        "limit": 100,
    }
    found = ids(api.post("/v1/similar", json=body))
    assert "round-red-1" in found
    assert "square-red-1" not in found


def test_an_answer_says_which_images_matched_and_what_was_relaxed(api: httpx.Client) -> None:
    answer = similar(
        api, limit=4, **{"attr.colour": "red", "price_max": 11, "relax": ["attributes", "price"]}
    )
    assert answer.json()["relaxed"] == [
        {"step": "attributes", "dropped": ["colour"]},
        {"step": "price", "price_min": None, "price_max": 13.75},
    ]
    assert [item["match"]["asked"] for item in answer.json()["items"]] == ["round-red-0"] * 4
    body = {"positive": ["round-red-0"], "filter": {"category": ["shapes/tall"]}, "relax": ["category"]}
    relaxed = api.post("/v1/similar", json={**body, "limit": 20}).json()["relaxed"]
    assert relaxed == [{"step": "category", "category": ["shapes"]}]
    assert similar(api, limit=1).json()["relaxed"] == []


def test_products_have_weights_and_attributes_bounds(api: httpx.Client) -> None:
    liked = [{"id": "round-red-0"}, {"id": "tall-blue-0", "weight": 0.4}]
    body = {"positive": liked, "negative": ["square-red-0"], "limit": 1}
    assert ids(api.post("/v1/similar", json=body)) == ["round-red-1"]
    bounds = {"attributes": {"sizes": {"min": 39.5}}, "exclude_brands": ["Acme"], "exclude_ids": ["x"]}
    assert ids(api.post("/v1/similar", json={**body, "filter": bounds})) == []
    bounds["attributes"] = {"sizes": {"max": 38}, "colour": ["red", "green"]}
    assert ids(api.post("/v1/similar", json={**body, "filter": bounds})) == ["round-green-0"]


def test_many_questions_in_one_call(api: httpx.Client) -> None:
    questions = [{"positive": ["round-red-0"], "limit": 2}, {"positive": ["nope"]}, {"text": "boots"}]
    answer = api.post("/v1/similar/batch", json={"questions": questions}).json()
    assert set(answer) == {"answers", "encoder", "took_ms"}
    first, unknown, text = answer["answers"]
    assert [item["id"] for item in first["items"]] == ids(similar(api, limit=2))
    assert (unknown["problem"]["status"], text["problem"]["status"]) == (404, 422)
    assert unknown["problem"]["type"] == "urn:lookalike:problem:product-not-found"
    wrong = api.post("/v1/similar/batch", json={"questions": [{"limit": 0}]})
    assert (wrong.status_code, wrong.json()["parameter"]) == (400, "questions.0.limit")


def test_facets_of_a_filter(api: httpx.Client) -> None:
    answer = api.get("/v1/facets", params={"field": ["brand", "attr.colour"], "in_stock": "true"}).json()
    assert answer["total"] == 12
    assert answer["facets"]["brand"] == {"Acme": 6, "Bolt": 6}
    assert set(answer["facets"]["attr.colour"].values()) == {3}
    for field, named in (("price", "field"), ("attr.weight", "attr.weight")):
        wrong = api.get("/v1/facets", params={"field": field})
        assert (wrong.status_code, wrong.json()["parameter"]) == (400, named)
    assert api.get("/v1/facets").status_code == 400


def test_what_can_be_asked_of_the_catalog(api: httpx.Client, catalog: Shop) -> None:
    assert api.get("/v1/catalog").json() == {
        "catalog": "lookalike",
        "encoder": catalog.index.fingerprint,
        "text": False,
        "attributes": ["colour", "sizes"],
        "max_upload_bytes": catalog.settings.api.max_upload_bytes,
    }


def test_an_image_by_its_address(api: httpx.Client, catalog: Shop) -> None:
    uri = catalog.store.put("query.jpg", draw("square", "green"))
    assert ids(api.post("/v1/similar", json={"image_url": uri, "limit": 1}))[0].startswith("square-green")


@pytest.mark.parametrize(
    ("body", "status", "named"),
    [
        ({}, 400, "positive"),
        ({"positive": ["round-red-0"], "limt": 3}, 400, "limt"),
        ({"positive": ["round-red-0"], "filter": {"colour": "red"}}, 400, "filter.colour"),
        ({"positive": ["round-red-0"], "filter": {"attributes": {"weight": 2}}}, 400, "attr.weight"),
        ({"positive": ["nope"]}, 404, None),
        ({"positive": [{"id": "round-red-0", "weight": 0}]}, 400, "positive.0.weight"),
        ({"positive": ["round-red-0", {"id": "round-red-0", "weight": 0.5}]}, 400, "positive"),
        (
            {"positive": ["round-red-0"], "filter": {"attributes": {"sizes": {"least": 2}}}},
            400,
            "filter.attributes.sizes.least",
        ),
        ({"text": "red boots"}, 422, None),
        ({"image_url": "https://evil.example/a.jpg"}, 403, None),
        ({"image_url": "file:///etc/passwd"}, 403, None),
        ([], 400, None),
    ],
)
def test_a_wrong_json_question_is_a_problem(
    api: httpx.Client, body: Any, status: int, named: str | None
) -> None:
    response = api.post("/v1/similar", json=body)
    assert (response.status_code, response.json().get("parameter")) == (status, named)
    assert response.headers["content-type"] == "application/problem+json"


class _Untold(PixelEncoder):
    """Its text tower lacks a tokenizer, as SigLIP's does where transformers is not installed."""

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        raise WeightsUnavailable(f"no tokenizer for {len(texts)} texts: pip install 'lookalike[text]'")


def test_a_tokenizer_that_is_missing_is_a_problem_that_says_what_to_do(catalog: Shop) -> None:
    batcher = DynamicBatcher(_Untold(), 4)
    resources = catalog.resources
    recommender = Recommender(resources.index, batcher, resources.source, catalog.settings)
    try:
        with served(asking(catalog, recommender)) as api:
            response = api.post("/v1/similar", json={"text": "red boots"})
    finally:
        batcher.close()
    assert (response.status_code, response.json()["type"]) == (
        503,
        "urn:lookalike:problem:weights-unavailable",
    )
    assert "pip install 'lookalike[text]'" in response.json()["detail"]


def test_malformed_json_is_a_problem(api: httpx.Client) -> None:
    headers = {"Content-Type": "application/json"}
    response = api.post("/v1/similar", content=b'{"positive": [', headers=headers)
    assert response.status_code == 400
    assert response.headers["content-type"] == "application/problem+json"
    assert api.post("/v1/similar?limit=3", json={"positive": "round-red-0"}).json()["parameter"] == "limit"


def test_any_id_can_be_asked_about(own_shop: Shop) -> None:
    odd = [
        "a/b similar?x",
        "boots",
        "boots/similar",
        "similar",
        "a/images/0",
        "50%25 off",
        "ä#&+;=",
        "/",
        "x/",
    ]
    picture = draw("round", "red", shift=2)
    own_shop.add_all([(product_id, (picture,), {}) for product_id in odd])
    with served(own_shop) as api:
        for product_id in odd:
            path = f"/v1/products/{quote(product_id, safe='')}"
            assert api.get(path).json()["id"] == product_id
            found = ids(api.get(f"{path}/similar", params={"limit": 100}))
            assert product_id not in found
            assert {*odd, "round-red-0"} - {product_id} <= set(found)
            assert api.get(f"{path}/images/0").headers["content-type"] == "image/jpeg"


def test_an_unencoded_slash_in_an_id_is_understood_too(own_shop: Shop) -> None:
    own_shop.add("a/b", draw("round", "red"))
    with served(own_shop) as api:
        assert api.get("/v1/products/a/b").json()["id"] == "a/b"
        assert "round-red-0" in ids(api.get("/v1/products/a/b/similar"))


def test_products_that_can_not_be_asked_about(own_shop: Shop) -> None:
    own_shop.add("blind", draw("round", "red"), broken=True)
    with served(own_shop) as api:
        assert api.get("/v1/products/nope/similar").status_code == 404
        response = api.get("/v1/products/blind/similar")
        assert (response.status_code, response.json()["status"]) == (409, 409)
        assert api.get("/v1/products/blind").json()["searchable"] is False
