"""Who may ask what."""

from collections.abc import Iterator

import httpx
import pytest

from tests.shop import draw, filled_shop, served


@pytest.fixture(scope="module")
def api(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    folder = tmp_path_factory.mktemp("shop")
    values = {"api": {"keys": ["first", "second"]}}
    with filled_shop(s3_endpoint, folder, **values) as shop, served(shop, extra_keys=("owner",)) as client:
        yield client


@pytest.mark.parametrize(
    "headers",
    [
        {"X-API-Key": "first"},
        {"X-API-Key": "second"},
        {"X-API-Key": "owner"},
        {"Authorization": "Bearer second"},
    ],
)
def test_a_key_opens_the_api(api: httpx.Client, headers: dict[str, str]) -> None:
    assert api.get("/v1/categories", headers=headers).status_code == 200


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": "wrong"},
        {"X-API-Key": ""},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Basic first"},
    ],
)
@pytest.mark.parametrize(
    "path",
    ["/v1/categories", "/v1/products", "/v1/products/x", "/v1/products/x/similar", "/v1/products/x/images/0"],
)
def test_nothing_else_does(api: httpx.Client, path: str, headers: dict[str, str]) -> None:
    response = api.get(path, headers=headers)
    assert response.status_code == 401
    assert response.headers["www-authenticate"] == "Bearer"
    assert response.headers["content-type"] == "application/problem+json"


def test_questions_are_closed_too(api: httpx.Client) -> None:
    assert api.post("/v1/similar", json={"positive": "round-red-0"}).status_code == 401
    assert api.post("/v1/similar/image", files={"file": draw("round", "red")}).status_code == 401


@pytest.mark.parametrize("path", ["/", "/gallery/app.js", "/healthz", "/readyz", "/metrics", "/openapi.json"])
def test_the_page_and_the_probes_are_open(api: httpx.Client, path: str) -> None:
    assert api.get(path).status_code == 200
