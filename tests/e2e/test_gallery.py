"""The gallery in a real browser, as a shopper uses it: by mouse, by keyboard, on a phone."""

import os
import re
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Locator, Page, expect, sync_playwright

from recommender.api.app import create_app
from recommender.api.serve import serve_in_thread
from tests.shop import Shop, draw, filled_shop

CHROMIUM = Path("/usr/bin/chromium")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
TRICKY = 'a/b "similar"?<img src=x onerror=alert(1)>'

expect.set_options(timeout=20_000)  # a busy machine is no error

pytestmark = pytest.mark.skipif(
    not CHROMIUM.exists() and os.environ.get("CI") != "true",
    reason=f"the browser test needs {CHROMIUM} (apt-get install chromium); with CI=true it fails instead",
)


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shop(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with filled_shop(s3_endpoint, tmp_path_factory.mktemp("shop")) as shop:
        shop.add(
            TRICKY, draw("round", "red", shift=6), title="<b>Bold</b> & tricky", url="javascript:alert(1)"
        )
        yield shop


@pytest.fixture(scope="module")
def url(shop: Shop) -> Iterator[str]:
    server = serve_in_thread(create_app(shop.resources, shop.settings), "127.0.0.1", 0)
    yield server.url
    server.stop()


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """A page that must stay free of script errors and refused content."""
    context = browser.new_context(base_url=url, viewport={"width": 1280, "height": 860}, locale="en-GB")
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on("console", lambda message: complaints.append(message.text) if message.type == "error" else None)
    yield page
    context.close()
    assert [text for text in complaints if "Failed to load resource" not in text] == []


def cards(page: Page) -> Locator:
    return page.locator("#grid .card:not([aria-hidden])")


def names(page: Page) -> list[str]:
    return page.locator("#grid .card .name").all_inner_texts()


def pictures_shown(page: Page) -> bool:
    """Whether every picture in sight was loaded; those further down wait until they are scrolled to."""
    shown: bool = page.evaluate(
        """Promise.all([...document.images]
            .filter(image => image.getBoundingClientRect().top < innerHeight)
            .map(image => image.decode().then(() => image.naturalWidth > 0, () => false))
        ).then(all => all.length > 1 && all.every(Boolean))"""
    )
    return shown


def test_from_a_category_to_a_product_to_its_lookalikes_and_back(page: Page) -> None:
    page.goto("/")
    expect(page).to_have_title("Lookalike")
    expect(cards(page)).to_have_count(24)
    page.get_by_role("navigation", name="Categories").get_by_role("link", name="Shapes").click()
    page.get_by_role("navigation", name="Categories").get_by_role("link", name="Round").click()
    expect(page.get_by_role("heading", name="Round")).to_be_visible()
    expect(page.get_by_role("status")).to_have_text("8 products shown")
    expect(page.get_by_role("link", name="Round 8 products")).to_have_attribute("aria-current", "true")

    page.get_by_role("link", name="Red round thing, variant 0").click()
    expect(page.get_by_role("heading", name="Red round thing, variant 0")).to_be_focused()
    expect(page).to_have_url(re.compile(r"\?product=round-red-0$"))
    expect(page.get_by_text("€10.00").first).to_be_visible()
    expect(cards(page).first).to_contain_text("Red round thing, variant 1")
    expect(cards(page).first.get_by_role("img", name="likeness 1.00")).to_be_visible()
    assert "Red round thing, variant 0" not in names(page)
    assert pictures_shown(page)

    page.go_back()
    expect(page.get_by_role("heading", name="Round", exact=True)).to_be_visible()
    expect(cards(page)).to_have_count(8)
    page.go_forward()
    expect(cards(page).first).to_contain_text("Red round thing, variant 1")
    page.reload()
    expect(cards(page).first).to_contain_text("Red round thing, variant 1")


def test_filters_are_live_and_kept_in_the_address(page: Page) -> None:
    page.goto("/?product=round-red-0")
    expect(cards(page)).to_have_count(24)
    page.get_by_label("In stock").check()
    expect(page.get_by_role("status")).to_contain_text("12 lookalikes")
    page.get_by_label("Lowest price").fill("30")
    expect(page.get_by_role("status")).to_contain_text("4 lookalikes")
    expect(page).to_have_url(re.compile("in_stock=true&price_min=30"))
    assert all("tall" in name for name in names(page))
    page.reload()
    expect(page.get_by_label("Lowest price")).to_have_value("30")
    expect(page.get_by_role("status")).to_contain_text("4 lookalikes")
    page.get_by_label("Lowest price").fill("5000")
    expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()
    expect(cards(page)).to_have_count(0)
    page.get_by_role("button", name="Clear the filters").click()
    expect(cards(page)).to_have_count(24)
    page.get_by_label("One per style").check()
    expect(page.get_by_role("status")).to_contain_text("12 lookalikes")


def test_a_category_narrows_the_lookalikes_of_a_product(page: Page) -> None:
    page.goto("/?product=round-red-0")
    navigation = page.get_by_role("navigation", name="Categories")
    navigation.get_by_role("link", name="Shapes").click()
    navigation.get_by_role("link", name="Tall").click()
    expect(page.get_by_role("status")).to_contain_text("8 lookalikes")
    expect(page.get_by_role("heading", name="Red round thing, variant 0")).to_be_visible()
    assert all("tall" in name for name in names(page))


def test_a_chosen_photo_finds_what_it_shows(page: Page) -> None:
    page.goto("/")
    photo = draw("tall", "gold", file_format="PNG")
    page.get_by_label("Find by photo").set_input_files(
        {"name": "mine.png", "mimeType": "image/png", "buffer": photo}
    )
    expect(page.get_by_role("heading", name="Your photo")).to_be_visible()
    expect(cards(page).first).to_contain_text("Gold tall thing")
    page.get_by_label("In stock").check()
    expect(page.get_by_role("status")).to_contain_text("13 lookalikes")
    cards(page).first.click()
    expect(page.get_by_role("heading", name="Gold tall thing, variant 0")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Your photo")).to_be_visible()
    expect(cards(page).first).to_contain_text("Gold tall thing")
    page.reload()
    expect(page.get_by_role("heading", name="This photo is no longer at hand")).to_be_visible()


def test_a_dropped_file_that_is_no_image_is_explained(page: Page) -> None:
    page.goto("/")
    expect(cards(page)).to_have_count(24)
    transfer = page.evaluate_handle(
        """() => {
            const data = new DataTransfer();
            data.items.add(new File(["hello"], "a.txt"));
            return data;
        }"""
    )
    page.dispatch_event("body", "dragover", {"dataTransfer": transfer})
    expect(page.get_by_text("Drop the photo")).to_be_visible()
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    expect(page.get_by_text("Drop the photo")).to_be_hidden()
    expect(page.get_by_role("alert")).to_contain_text("the uploaded image")
    expect(cards(page)).to_have_count(0)


def test_hostile_titles_and_links_stay_text(page: Page) -> None:
    page.goto("/?category=things")
    expect(page.get_by_role("link", name="<b>Bold</b> & tricky")).to_be_visible()
    page.get_by_role("link", name="<b>Bold</b> & tricky").click()
    expect(page.get_by_role("heading", name="<b>Bold</b> & tricky")).to_be_visible()
    expect(page.get_by_text(TRICKY)).to_be_visible()
    expect(page.get_by_role("link", name="Open in the shop")).to_have_count(0)
    expect(cards(page).first).to_be_visible()
    assert pictures_shown(page)


def test_an_unknown_product_and_a_server_that_is_away(page: Page) -> None:
    page.goto("/?product=nope")
    expect(page.get_by_role("alert")).to_contain_text("no product 'nope'")
    page.route("**/v1/products?**", lambda route: route.abort())
    page.get_by_role("link", name="Lookalike").click()
    expect(page.get_by_role("alert")).to_contain_text("can't be reached")
    page.unroute("**/v1/products?**")
    page.get_by_role("button", name="Try again").click()
    expect(cards(page)).to_have_count(24)


def test_more_products_come_on_demand(page: Page) -> None:
    page.goto("/")
    expect(cards(page)).to_have_count(24)
    page.get_by_role("button", name="Show more").click()
    expect(cards(page)).to_have_count(25)
    expect(cards(page).nth(24)).to_be_focused()
    expect(page.get_by_role("button", name="Show more")).to_be_hidden()
    assert len(set(names(page))) == 25


def test_the_keyboard_is_enough(page: Page) -> None:
    page.goto("/?category=shapes/round")
    expect(cards(page)).to_have_count(8)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the products")).to_be_focused()
    outline = "getComputedStyle(document.activeElement).outlineStyle"
    seen: list[str] = []
    while "card" not in (page.evaluate("document.activeElement.className") or "") and len(seen) < 30:
        page.keyboard.press("Tab")
        seen.append(page.evaluate(f"document.activeElement.tagName + ' ' + {outline}"))
    assert "card" in page.evaluate("document.activeElement.className"), seen
    assert page.evaluate(outline) == "solid"
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Looks like this")).to_be_visible()
    assert page.evaluate("document.activeElement.tagName") == "H2"


@pytest.mark.parametrize(("width", "scheme"), [(360, "light"), (390, "dark")])
def test_a_phone_scrolls_in_one_direction_only(browser: Browser, url: str, width: int, scheme: str) -> None:
    context = browser.new_context(
        base_url=url,
        viewport={"width": width, "height": 740},
        color_scheme="dark" if scheme == "dark" else "light",
        has_touch=True,
    )
    page = context.new_page()
    for path in ("/", "/?product=round-red-0", "/?category=shapes&price_min=5000"):
        page.goto(path)
        expect(page.locator("#grid.waiting")).to_have_count(0)
        assert page.evaluate("document.documentElement.scrollWidth") == width, path
    page.goto("/")
    page.locator("summary").tap()
    page.get_by_role("link", name="Shapes").tap()
    expect(page.get_by_role("status")).to_have_text("24 products shown")
    expect(page.locator("#categories")).to_be_hidden()  # the list folds once one is chosen
    background = page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (sum(map(int, re.findall(r"\d+", background))) < 200) == (scheme == "dark")
    context.close()


def test_a_catalog_behind_a_key_asks_for_it(browser: Browser, shop: Shop) -> None:
    settings = shop.settings.model_copy(
        update={"api": type(shop.settings.api).model_validate({"keys": ["open sesame"]})}
    )
    server = serve_in_thread(create_app(shop.resources, settings), "127.0.0.1", 0)
    context = browser.new_context(base_url=server.url)
    page = context.new_page()
    page.goto("/")
    page.get_by_label("API key").fill("wrong")
    page.get_by_role("button", name="Open").click()
    expect(page.get_by_label("API key")).to_have_value("")
    page.get_by_label("API key").fill("open sesame")
    page.get_by_role("button", name="Open").click()
    expect(cards(page)).to_have_count(24)
    expect(page.locator("#grid img")).to_have_count(24)
    assert pictures_shown(page)
    context.close()
    server.stop()
