"""Pages of other origins, where the settings let them ask."""

from dataclasses import replace
from typing import Any

import httpx
import pytest

from tests.shop import Shop, served

SHOP, OTHER = "https://shop.example", "https://other.example"
PREFLIGHT = {
    "Origin": SHOP,
    "Access-Control-Request-Method": "POST",
    "Access-Control-Request-Headers": "x-api-key,content-type",
}


def with_api(shop: Shop, **api: Any) -> Shop:
    own = type(shop.settings.api).model_validate(api)
    return replace(shop, settings=shop.settings.model_copy(update={"api": own}))


def allowed(response: httpx.Response) -> str | None:
    return response.headers.get("access-control-allow-origin")


def test_by_default_no_other_origin_may_read_an_answer(api: httpx.Client) -> None:
    assert allowed(api.get("/v1/categories", headers={"Origin": SHOP})) is None
    assert api.options("/v1/similar", headers=PREFLIGHT).status_code == 405


def test_an_origin_that_is_named_may_ask_and_read_even_a_refusal(catalog: Shop) -> None:
    with served(with_api(catalog, keys=["first"], cors_origins=[SHOP])) as api:
        asked = api.options("/v1/similar", headers=PREFLIGHT)
        assert (asked.status_code, allowed(asked)) == (200, SHOP)
        assert "x-api-key" in asked.headers["access-control-allow-headers"].lower()
        refused = api.get("/v1/categories", headers={"Origin": SHOP})
        assert (refused.status_code, allowed(refused)) == (401, SHOP)
        answer = api.get("/v1/categories", headers={"Origin": SHOP, "X-API-Key": "first"})
        assert (answer.status_code, allowed(answer)) == (200, SHOP)
        assert {"ETag", "Retry-After", "X-Request-ID"} <= set(
            answer.headers["access-control-expose-headers"].split(", ")
        )
        assert "access-control-allow-credentials" not in answer.headers
        for response in (
            api.get("/v1/categories", headers={"Origin": OTHER, "X-API-Key": "first"}),
            api.options("/v1/similar", headers=PREFLIGHT | {"Origin": OTHER}),
        ):
            assert allowed(response) is None


def test_any_origin_may_be_let_in(catalog: Shop) -> None:
    with served(with_api(catalog, cors_origins=["*"])) as api:
        assert allowed(api.get("/v1/categories", headers={"Origin": OTHER})) == "*"


@pytest.mark.parametrize(
    "origin", ["shop.example", "https://shop.example/", "https://Shop.example", "null", ""]
)
def test_what_is_no_origin_is_a_wrong_setting(catalog: Shop, origin: str) -> None:
    with pytest.raises(ValueError, match="an origin is like"):
        with_api(catalog, cors_origins=[origin])
