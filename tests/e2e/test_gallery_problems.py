"""What the gallery says where something is missing, too much, or away."""

import json
import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Browser, Page, Route, expect

from recommender.api.app import create_app
from recommender.api.serve import serve_in_thread
from tests.conftest import object_store
from tests.e2e.gallery import cards, opened
from tests.shop import draw, opened_shop

LISTED = "**/v1/products?*limit=24*"


def busy(route: Route, status: int) -> None:
    body = {"title": "Too many questions", "status": status, "detail": "this key asks too often"}
    headers = {"Retry-After": "2", "Content-Type": "application/problem+json"}
    route.fulfill(status=status, headers=headers, body=json.dumps(body))


def test_an_unknown_product_and_a_server_that_is_away(page: Page) -> None:
    page.goto("/?product=nope")
    expect(page.get_by_role("alert")).to_contain_text("no product 'nope'")
    expect(page.get_by_role("heading", name="No such product").first).to_be_visible()
    expect(page.get_by_role("form", name="Rules")).to_be_hidden()
    page.route(LISTED, lambda route: route.abort())
    page.get_by_role("link", name="Lookalike").click()
    expect(page.get_by_role("alert")).to_contain_text("can't be reached")
    page.unroute(LISTED)
    page.get_by_role("button", name="Try again").click()
    expect(cards(page)).to_have_count(24)
    expect(page.get_by_role("alert")).to_have_count(0)


@pytest.mark.parametrize("status", [429, 503])
def test_a_busy_server_is_asked_again_when_it_said(page: Page, status: int) -> None:
    page.route("**/similar?**", lambda route: busy(route, status))
    page.goto("/?product=round-red-0")
    expect(page.get_by_role("alert")).to_contain_text("this key asks too often")
    expect(page.get_by_text(re.compile("Trying again in [12] second"))).to_be_visible()
    expect(page.get_by_role("heading", name="Red round thing, variant 0")).to_be_visible()
    page.unroute("**/similar?**")
    expect(cards(page)).to_have_count(24)


def test_a_page_that_fails_further_down_leaves_what_is_shown(page: Page) -> None:
    page.goto("/")
    expect(cards(page)).to_have_count(24)
    page.route(LISTED, lambda route: busy(route, 503))
    page.get_by_role("button", name="Show more").click()
    expect(page.get_by_role("alert")).to_contain_text("Too many questions")
    expect(cards(page)).to_have_count(24)
    page.unroute(LISTED)
    expect(cards(page)).to_have_count(25)
    expect(page.get_by_role("alert")).to_have_count(0)


def test_without_counts_the_products_are_shown_all_the_same(browser: Browser, url: str) -> None:
    context = browser.new_context(base_url=url)
    page = context.new_page()
    page.route("**/v1/facets?**", lambda route: busy(route, 503))
    page.goto("/")
    expect(cards(page)).to_have_count(24)
    expect(page.get_by_role("status").first).to_have_text("24 products shown, there are more")
    context.close()


def test_a_photo_that_is_too_large_is_not_sent(page: Page) -> None:
    sent: list[str] = []
    page.on("request", lambda request: sent.append(request.url) if request.method == "POST" else None)
    page.route(
        "**/v1/catalog",
        lambda route: route.fulfill(json={"text": False, "attributes": [], "max_upload_bytes": 100}),
    )
    page.goto("/")
    photo = {"name": "big.png", "mimeType": "image/png", "buffer": draw("tall", "red", file_format="PNG")}
    page.get_by_label("Find by photo").set_input_files([photo])  # type: ignore[list-item]
    expect(page.get_by_role("alert")).to_contain_text("This photo is too large")
    assert sent == []


@pytest.fixture
def empty_url(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with (
        object_store(s3_endpoint, "empty-shop") as store,
        opened_shop(store, tmp_path_factory.mktemp("empty")) as shop,
    ):
        server = serve_in_thread(create_app(shop.resources, shop.settings), "127.0.0.1", 0)
        yield server.url
        server.stop()


def test_an_empty_catalog_says_what_fills_it(browser: Browser, empty_url: str) -> None:
    with opened(browser, empty_url) as page:
        page.goto("/")
        expect(page.get_by_role("heading", name="Nothing here yet")).to_be_visible()
        expect(page.get_by_role("slider")).to_have_count(0)
