"""Answers that the client has already."""

import httpx
import pytest

from tests.shop import Shop, draw, served

PATHS = [
    "/v1/categories",
    "/v1/products?limit=3",
    "/v1/products/tall-gold-1",
    "/v1/products/tall-gold-1?vectors=true",
    "/v1/products/tall-gold-1/similar?limit=5",
]


@pytest.mark.parametrize("path", PATHS)
def test_an_answer_that_says_the_same_is_not_sent_again(api: httpx.Client, path: str) -> None:
    first = api.get(path)
    tag = first.headers["etag"]
    assert tag.startswith('W/"')
    assert first.headers["cache-control"] == "private, no-cache"
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = api.get(path, headers={"If-None-Match": known})
        assert (again.status_code, again.content) == (304, b""), known
        assert again.headers["etag"] == tag
        assert again.headers["cache-control"] == "private, no-cache"
        assert "content-type" not in again.headers
    for unknown in ('"other"', tag[:-2] + '"', tag.strip('W/"')):
        again = api.get(path, headers={"If-None-Match": unknown})
        assert again.status_code == 200, unknown
        assert again.headers["etag"] == tag


def test_what_changed_is_sent(own_shop: Shop) -> None:
    paths = ("/v1/categories", "/v1/products?category=shapes/tall", "/v1/products/tall-gold-1/similar")
    with served(own_shop) as api:
        known = {path: api.get(path).headers["etag"] for path in paths}
        own_shop.add("newcomer", draw("tall", "gold"), category="shapes/tall")
        for path, tag in known.items():
            again = api.get(path, headers={"If-None-Match": tag})
            assert again.status_code == 200
            assert again.headers["etag"] != tag


def test_problems_and_other_methods_have_no_tag(api: httpx.Client) -> None:
    for response in (
        api.get("/v1/products/nope"),
        api.post("/v1/similar", json={"positive": ["tall-gold-1"]}),
        api.get("/healthz"),
    ):
        assert "etag" not in response.headers
    assert api.get("/v1/products/nope", headers={"If-None-Match": "*"}).status_code == 404
