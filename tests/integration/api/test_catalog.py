"""Products, their pictures, categories, probes and the page itself, over HTTP."""

import io
import json
import re
from dataclasses import replace
from importlib.resources import files

import httpx
import numpy as np
import pytest
from PIL import Image

from config.settings import S3Settings
from recommender.encoders.preprocess import to_input
from recommender.events import Upsert
from recommender.images.source import ImageSource
from recommender.index.protocol import IndexedImage, Write
from recommender.merge import UNKNOWN, merge
from tests.shop import PixelEncoder, Shop, draw, served
from tests.whole_image import decode


def test_a_product_is_shown_as_it_was_published(api: httpx.Client) -> None:
    product = api.get("/v1/products/tall-gold-1").json()
    assert len(product.pop("images")) == 2
    assert product == {
        "id": "tall-gold-1",
        "version": 1,
        "searchable": True,
        "duplicate_of": None,
        "category": "shapes/tall",
        "title": "Gold tall thing, variant 1",
        "brand": "Bolt",
        "price": 33.0,
        "currency": "EUR",
        "in_stock": False,
        "group_id": "tall-gold",
        "url": None,
        "attributes": {"colour": "gold", "sizes": ["38", "39"], "weight": 2},
    }


def test_a_products_vectors_are_those_of_its_images(catalog: Shop, api: httpx.Client) -> None:
    plain = api.get("/v1/products/tall-gold-1").json()
    assert api.get("/v1/products/tall-gold-1?vectors=false").json() == plain
    product = api.get("/v1/products/tall-gold-1?vectors=true").json()
    vectors = np.asarray(product.pop("vectors"), dtype=np.float32)
    images = product.pop("images")
    assert images == [{"uri": uri, "role": None, "row": n} for n, uri in enumerate(plain.pop("images"))]
    assert product == plain
    pictures = (draw("tall", "gold", shift=3), draw("tall", "gold", shift=-4, file_format="PNG"))
    preprocessing = PixelEncoder.spec.preprocessing
    pixels = [to_input(decode(p, name="drawn", max_pixels=10**6), preprocessing) for p in pictures]
    assert vectors == pytest.approx(catalog.resources.batcher.embed_images(pixels), abs=1e-6)
    assert np.linalg.norm(vectors, axis=1) == pytest.approx(1, abs=1e-6)


def test_an_image_names_its_row_whatever_the_order_of_the_rows(own_shop: Shop) -> None:
    red, blue, gone = (f"s3://{own_shop.store.bucket}/{name}.png" for name in ("red", "blue", "gone"))
    listed = [gone, {"uri": red, "role": "front"}, blue, red]
    document = {"id": "turned", "version": 1, "images": listed, "category": "things"}
    indexed = (IndexedImage(gone, error="404"), IndexedImage(red, None, 1), IndexedImage(blue, None, 0))
    state = merge(UNKNOWN, Upsert.model_validate(document))
    rows = np.eye(2, PixelEncoder.spec.dimension, dtype=np.float32)
    own_shop.add("blind", draw("round", "red"), broken=True)
    assert not own_shop.index.write([Write("turned", None, state, indexed, rows)])
    with served(own_shop) as api:
        product = api.get("/v1/products/turned?vectors=true").json()
        blind = api.get("/v1/products/blind?vectors=true").json()
    assert [image["row"] for image in product["images"]] == [None, 1, 0, 1]
    assert [image["role"] for image in product["images"]] == [None, "front", None, None]
    assert product["vectors"] == rows.tolist()
    assert (blind["vectors"], blind["images"][0]["row"], blind["searchable"]) == ([], None, False)


def test_an_unknown_product_is_a_404(api: httpx.Client) -> None:
    for path in ("/v1/products/nope", "/v1/products/", "/v1/products/nope/images/0"):
        response = api.get(path)
        assert (response.status_code, response.json()["type"]) == (
            404,
            "urn:lookalike:problem:product-not-found",
        )


def test_categories_count_what_is_below_them(api: httpx.Client) -> None:
    counts = api.get("/v1/categories").json()["categories"]
    assert list(counts.items()) == [
        ("shapes", 24),
        ("shapes/round", 8),
        ("shapes/square", 8),
        ("shapes/tall", 8),
    ]


def test_categories_are_complete_however_many_there_are(own_shop: Shop) -> None:
    picture = draw("round", "red")
    paths = {n: [f"odd/{n}-{m}/a/b/c/d/e/f" for m in range(16)] for n in range(10)}
    own_shop.add_all([(f"odd-{n}", (picture,), {"category": paths[n]}) for n in paths])
    with served(own_shop) as api:
        counts = api.get("/v1/categories").json()["categories"]
    assert len(counts) == 4 + 1 + 10 * 16 * 7
    assert list(counts) == sorted(counts)
    assert counts["odd"] == 10
    assert {path for listed in paths.values() for path in listed} <= set(counts)


def test_pages_of_products_join_to_the_whole(api: httpx.Client) -> None:
    seen: list[str] = []
    cursor: dict[str, str] = {}
    while True:
        where = {"limit": "5", "in_stock": "true", "category": "shapes"}
        page = api.get("/v1/products", params=where | cursor).json()
        assert len(page["items"]) <= 5
        seen += [item["id"] for item in page["items"]]
        if page["cursor"] is None:
            break
        cursor = {"cursor": page["cursor"]}
    assert len(seen) == len(set(seen)) == 12
    assert all(product_id.endswith("-0") for product_id in seen)


@pytest.mark.parametrize(
    ("path", "named"),
    [
        ("/v1/products?cursor=nonsense", "cursor"),
        ("/v1/products?limit=1000", "limit"),
        ("/v1/products?offset=1", "offset"),
        ("/v1/products?attr.weight=2", "attr.weight"),
        ("/v1/categories?category=shapes", "category"),
        ("/v1/products/tall-gold-1?px=2", "px"),
        ("/v1/products/tall-gold-1?vectors=some", "vectors"),
        ("/v1/products/tall-gold-1/images/0?px=15", "px"),
        ("/v1/products/tall-gold-1/images/0?px=100000", "px"),
        ("/v1/products/tall-gold-1/images/0?size=3", "size"),
    ],
)
def test_a_wrong_parameter_is_named(api: httpx.Client, path: str, named: str) -> None:
    response = api.get(path)
    assert (response.status_code, response.json()["parameter"]) == (400, named)


def test_a_thumbnail_is_a_bounded_jpeg(api: httpx.Client) -> None:
    for n, px in ((0, 64), (1, 100), (0, 1024)):
        response = api.get(f"/v1/products/tall-gold-1/images/{n}", params={"px": px})
        assert response.headers["content-type"] == "image/jpeg"
        image = Image.open(io.BytesIO(response.content))
        assert (image.format, max(image.size)) == ("JPEG", min(px, 160))


def test_a_thumbnail_is_cached_until_its_object_changes(own_shop: Shop) -> None:
    path = "/v1/products/tall-gold-1/images/0?px=64"
    with served(own_shop) as api:
        first = api.get(path)
        assert "max-age" in first.headers["cache-control"]
        known = {"If-None-Match": first.headers["etag"]}
        again = api.get(path, headers=known)
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == first.headers["etag"]
        assert api.get(f"{path}0", headers=known).status_code == 200
        own_shop.store.put("tall-gold-1/0", draw("round", "blue"))
        changed = api.get(path, headers=known)
        assert changed.status_code == 200
        assert changed.content != first.content


def test_an_image_has_the_number_it_has_in_the_product(own_shop: Shop) -> None:
    red, blue = (own_shop.store.put(f"{c}.png", draw("round", c, file_format="PNG")) for c in ("red", "blue"))
    document = {"id": "twice", "version": 1, "images": [red, red, blue], "category": "things"}
    indexed = (IndexedImage(red, None, 0), IndexedImage(blue, None, 1))
    state = merge(UNKNOWN, Upsert.model_validate(document))
    rows = np.eye(2, PixelEncoder.spec.dimension, dtype=np.float32)
    assert not own_shop.index.write([Write("twice", None, state, indexed, rows)])
    with served(own_shop) as api:
        assert len(api.get("/v1/products/twice").json()["images"]) == 3
        assert [_channel(api.get(f"/v1/products/twice/images/{n}")) for n in range(3)] == ["R", "R", "B"]
        assert api.get("/v1/products/twice/images/3").status_code == 404


def _channel(response: httpx.Response) -> str:
    """The strongest channel in the middle of the thumbnail."""
    image = Image.open(io.BytesIO(response.content))
    pixel = image.getpixel((image.width // 2, image.height // 2))
    assert isinstance(pixel, tuple)
    return "RGB"[pixel.index(max(pixel))]


def test_what_is_no_thumbnail_is_a_problem(own_shop: Shop) -> None:
    with served(own_shop) as api:
        path = "/v1/products/tall-gold-1/images"
        assert api.get(f"{path}/2").status_code == 404
        assert api.get(f"{path}/-1").status_code == 404
        own_shop.store.put("tall-gold-1/0", b"<html>")
        assert api.get(f"{path}/0").status_code == 422
        own_shop.store.client.delete_object(Bucket=own_shop.store.bucket, Key="tall-gold-1/0")
        response = api.get(f"{path}/0")
        assert (response.status_code, response.json()["type"]) == (
            404,
            "urn:lookalike:problem:image-not-found",
        )


def test_an_image_that_could_not_be_embedded_is_not_read(own_shop: Shop) -> None:
    own_shop.add("lethal", draw("round", "red"), broken=True)  # it can be read; who knows what it would do
    with served(own_shop) as api:
        response = api.get("/v1/products/lethal/images/0")
    assert response.status_code == 422
    assert "could not be embedded" in response.json()["detail"]
    assert response.headers["content-type"] == "application/problem+json"


def test_an_image_store_that_is_away_is_a_503_to_be_tried_again(catalog: Shop, free_port: int) -> None:
    nowhere = S3Settings(endpoint_url=f"http://127.0.0.1:{free_port}", buckets=(catalog.store.bucket,))
    source = ImageSource(nowhere, catalog.settings.images)
    cut_off = replace(catalog, resources=replace(catalog.resources, source=source))
    with served(cut_off) as api:
        response = api.get("/v1/products/tall-gold-1/images/0")
        assert (response.status_code, response.json()["type"]) == (503, "urn:lookalike:problem:unavailable")
        assert int(response.headers["retry-after"]) > 0
        assert api.get("/v1/products/tall-gold-1/similar").status_code == 200
    source.close()


def test_a_process_that_is_closing_is_not_ready(own_shop: Shop) -> None:
    with served(own_shop) as api:
        own_shop.resources.batcher.close()
        response = api.post("/v1/similar/image", files={"file": draw("round", "red")})
        assert response.status_code == 503
        assert int(response.headers["retry-after"]) > 0
        assert response.headers["content-type"] == "application/problem+json"
        assert api.get("/readyz").status_code == 503
        assert api.get("/healthz").status_code == 200


@pytest.mark.parametrize(
    ("method", "path", "status"), [("GET", "/nope", 404), ("DELETE", "/v1/categories", 405)]
)
def test_the_routers_own_errors_are_problems(api: httpx.Client, method: str, path: str, status: int) -> None:
    response = api.request(method, path)
    assert (response.status_code, response.json()["status"]) == (status, status)
    assert response.headers["content-type"] == "application/problem+json"


def test_probes_and_metrics(api: httpx.Client) -> None:
    assert api.get("/healthz").json() == {"status": "alive"}
    assert api.get("/readyz").json() == {"status": "ready"}
    api.get("/v1/products/tall-gold-1/similar")
    metrics = api.get("/metrics")
    assert metrics.headers["content-type"].startswith("text/plain")
    route = 'route="/v1/products/{product_id:path}/similar"'
    assert re.search(rf"lookalike_api_request_seconds_count{{.*{re.escape(route)}.*}} [1-9]", metrics.text)
    assert "tall-gold-1" not in metrics.text


def test_the_description_names_every_route_and_problem(api: httpx.Client) -> None:
    description = api.get("/openapi.json").json()
    assert {path for path in description["paths"] if path.startswith("/v1")} == {
        "/v1/products",
        "/v1/products/{product_id}",
        "/v1/census",
        "/v1/census/states",
        "/v1/products/{product_id}/similar",
        "/v1/products/{product_id}/images/{n}",
        "/v1/similar",
        "/v1/similar/batch",
        "/v1/embeddings",
        "/v1/facets",
        "/v1/catalog",
        "/v1/similar/image",
        "/v1/categories",
    }
    similar = description["paths"]["/v1/products/{product_id}/similar"]["get"]
    names = {parameter["name"] for parameter in similar["parameters"]}
    assert names >= {
        "limit",
        "offset",
        "category",
        "brand",
        "price_min",
        "price_max",
        "in_stock",
        "attr.colour",
    }
    assert names >= {"min_score", "diversity", "group", "product_id"}
    one = description["paths"]["/v1/products/{product_id}"]["get"]
    assert {parameter["name"] for parameter in one["parameters"]} == {"vectors", "product_id"}
    for path, operations in description["paths"].items():
        for operation in operations.values():
            assert "422" not in operation["responses"] or "image" in path or path == "/v1/similar"
            if path.startswith("/v1"):
                assert list(operation["responses"]["default"]["content"]) == ["application/problem+json"]
                assert operation["security"]
    assert "HTTPValidationError" not in json.dumps(description)


def test_the_page_runs_only_its_own_script(api: httpx.Client) -> None:
    page = api.get("/")
    assert page.headers["content-type"] == "text/html; charset=utf-8"
    policy = page.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "script-src 'self'" in policy
    assert "unsafe" not in policy
    assert "https://" not in page.text
    for asset in re.findall(r'(?:src|href)="(/gallery/[^"]+)"', page.text):
        response = api.get(asset)
        assert response.status_code == 200
        known = {"If-None-Match": response.headers["etag"]}
        assert api.get(asset, headers=known).status_code == 304


def test_every_file_of_the_page_is_served_and_no_other(api: httpx.Client) -> None:
    for entry in (files("recommender.api") / "gallery").iterdir():
        response = api.get(f"/gallery/{entry.name}")
        assert response.content == entry.read_bytes()
        for module in re.findall(r'from "\./([^"]+)"', response.text):
            assert api.get(f"/gallery/{module}").status_code == 200
    for path in ("nothing.js", "..%2Fapp.py", "%2Fetc%2Fpasswd"):
        assert api.get(f"/gallery/{path}").status_code == 404
