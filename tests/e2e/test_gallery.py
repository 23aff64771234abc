"""The gallery in a real browser: from the catalog to a product to what looks like it, and on a phone."""

import re

import pytest
from playwright.sync_api import Browser, Page, expect

from recommender.api.app import create_app
from recommender.api.serve import serve_in_thread
from tests.e2e.gallery import TRICKY, cards, names, opened, pictures_shown, settled
from tests.shop import Shop


def test_from_a_category_to_a_product_to_its_lookalikes_and_back(page: Page) -> None:
    page.goto("/")
    expect(page).to_have_title("Lookalike")
    expect(cards(page)).to_have_count(24)
    expect(page.get_by_role("status").first).to_have_text("24 of 25 products shown")
    page.get_by_role("navigation", name="Categories").get_by_role("link", name="Shapes").click()
    page.get_by_role("navigation", name="Categories").get_by_role("link", name="Round").click()
    expect(page.get_by_role("heading", name="Round")).to_be_focused()
    expect(page.get_by_role("status").first).to_have_text("8 products shown")
    expect(page.get_by_role("link", name="Round 8")).to_have_attribute("aria-current", "true")

    page.get_by_role("link", name="Red round thing, variant 0").click()
    expect(page.get_by_role("heading", name="Red round thing, variant 0")).to_be_focused()
    expect(page).to_have_url(re.compile(r"\?product=round-red-0$"))
    expect(page.get_by_text("€10.00").first).to_be_visible()
    expect(cards(page).first).to_contain_text("Red round thing, variant 1")
    expect(page.get_by_role("button", name="1.00: why Red round thing, variant 1?")).to_be_visible()
    assert "Red round thing, variant 0" not in names(page)
    assert pictures_shown(page)

    page.go_back()
    expect(page.get_by_role("heading", name="Round", exact=True)).to_be_visible()
    expect(cards(page)).to_have_count(8)
    page.go_forward()
    expect(cards(page).first).to_contain_text("Red round thing, variant 1")
    page.reload()
    expect(cards(page).first).to_contain_text("Red round thing, variant 1")


def test_a_category_narrows_the_lookalikes_of_a_product(page: Page) -> None:
    page.goto("/?product=round-red-0")
    navigation = page.get_by_role("navigation", name="Categories")
    navigation.get_by_role("link", name="Shapes").click()
    navigation.get_by_role("link", name="Tall").click()
    expect(page.get_by_role("status").first).to_contain_text("8 lookalikes")
    expect(page.get_by_role("heading", name="Red round thing, variant 0")).to_be_visible()
    assert all("tall" in name for name in names(page))


def test_the_pictures_of_a_product_are_shown_one_by_one(page: Page) -> None:
    page.goto("/?product=round-red-0")
    page.get_by_role("button", name="Picture 2 of 2").click()
    expect(page.get_by_role("img", name="Red round thing, variant 0, picture 2")).to_be_visible()
    expect(page.get_by_role("button", name="Picture 2 of 2")).to_have_attribute("aria-pressed", "true")


def test_hostile_titles_and_links_stay_text(page: Page) -> None:
    page.goto("/?category=things")
    expect(page.get_by_role("link", name="<b>Bold</b> & tricky")).to_be_visible()
    page.get_by_role("link", name="<b>Bold</b> & tricky").click()
    expect(page.get_by_role("heading", name="<b>Bold</b> & tricky")).to_be_visible()
    expect(page.get_by_text(TRICKY)).to_be_visible()
    expect(page.get_by_role("link", name="Open in the shop")).to_have_count(0)
    expect(cards(page).first).to_be_visible()
    page.locator("button.score").first.click()
    expect(page.get_by_role("dialog").get_by_text("<b>Bold</b> & tricky")).to_be_visible()
    assert pictures_shown(page)


def test_more_products_come_on_demand_and_are_there_again_after_going_back(page: Page) -> None:
    page.goto("/")
    expect(cards(page)).to_have_count(24)
    page.get_by_role("button", name="Show more").click()
    expect(cards(page)).to_have_count(25)
    expect(cards(page).nth(24)).to_be_focused()
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    assert len(set(names(page))) == 25
    cards(page).nth(24).click()
    expect(page.get_by_role("heading", name="Looks like this")).to_be_visible()
    page.go_back()
    expect(cards(page)).to_have_count(25)
    expect(cards(page).nth(24)).to_be_in_viewport()


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (390, "dark")])
def test_a_phone_scrolls_in_one_direction_only(browser: Browser, url: str, width: int, scheme: str) -> None:
    with opened(browser, url, width=width, scheme="dark" if scheme == "dark" else "light") as page:
        for path in (
            "/",
            "/?product=round-red-0&positive=tall-red-0&negative=tall-blue-0&brand=Acme&min_score=0.1",
            f"/?product={TRICKY}",
            "/?category=shapes&price_min=5000",
        ):
            page.goto(path)
            settled(page)
            assert page.evaluate("document.documentElement.scrollWidth") == width, path
        page.goto("/")
        page.get_by_text("Category").first.tap()
        page.get_by_role("link", name="Shapes").tap()
        expect(page.get_by_role("status").first).to_have_text("24 products shown")
        expect(page.locator("#categories")).to_be_hidden()  # the list folds once one is chosen
        page.locator("#narrow summary").tap()
        page.get_by_label("Acme").check()
        expect(page.get_by_role("status").first).to_have_text("12 products shown")
        expect(page.locator("#narrow summary")).to_have_text(re.compile(r"Filters\s*1"))
        background = page.evaluate("getComputedStyle(document.body).backgroundColor")
        assert (sum(map(int, re.findall(r"\d+", background))) < 200) == (scheme == "dark")


def test_a_catalog_behind_a_key_asks_for_it(browser: Browser, shop: Shop) -> None:
    settings = shop.settings.model_copy(
        update={"api": type(shop.settings.api).model_validate({"keys": ["open sesame"]})}
    )
    server = serve_in_thread(create_app(shop.resources, settings), "127.0.0.1", 0)
    with opened(browser, server.url) as page:
        page.goto("/?product=round-red-0")
        page.get_by_label("API key").fill("wrong")
        page.get_by_role("button", name="Open").click()
        expect(page.get_by_label("API key")).to_have_value("")
        page.get_by_label("API key").fill("open sesame")
        page.get_by_role("button", name="Open").click()
        expect(cards(page)).to_have_count(24)
        expect(page.locator("#grid img")).to_have_count(24)
        expect(page.get_by_role("link", name="Shapes 24")).to_be_visible()
        assert pictures_shown(page)
    server.stop()
