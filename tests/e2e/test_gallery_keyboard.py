"""The gallery by keyboard alone."""

from playwright.sync_api import Page, expect

from tests.e2e.gallery import cards

FOCUSED = "document.activeElement"
OUTLINED = f"""[{FOCUSED}, {FOCUSED}.closest('label')].some(
    node => node && getComputedStyle(node).outlineStyle === 'solid')"""


def test_the_keyboard_is_enough_and_shows_where_it_is(page: Page) -> None:
    page.goto("/?category=shapes/round")
    expect(cards(page)).to_have_count(8)
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the products")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Round")).to_be_focused()
    while "card" not in (page.evaluate(f"{FOCUSED}.className") or ""):
        page.keyboard.press("Tab")
        shown = page.evaluate(f"getComputedStyle({FOCUSED}).outlineStyle")
        assert shown == "solid", page.evaluate(f"{FOCUSED}.outerHTML")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Looks like this")).to_be_visible()
    assert page.evaluate(f"{FOCUSED}.tagName") == "H2"


def test_every_stop_of_the_tab_key_is_visible(page: Page) -> None:
    page.goto("/?product=round-red-0&category=shapes/round&positive=round-blue-0&brand=Acme")
    expect(cards(page).first).to_be_visible()
    expect(page.get_by_role("group", name="Colour")).to_be_visible()
    stops = 0
    page.keyboard.press("Tab")
    while page.evaluate(f"{FOCUSED} !== document.body") and stops < 80:
        box = page.evaluate(f"(r => [r.width, r.height])({FOCUSED}.getBoundingClientRect())")
        outlined = page.evaluate(OUTLINED)
        assert min(box) > 10, page.evaluate(f"{FOCUSED}.outerHTML")
        assert outlined, page.evaluate(f"{FOCUSED}.outerHTML")
        page.keyboard.press("Tab")
        stops += 1
    assert 30 < stops < 80


def test_arrows_move_in_the_grid_and_plus_minus_and_w_act_there(page: Page) -> None:
    page.goto("/?category=shapes")
    expect(cards(page)).to_have_count(24)
    columns = page.evaluate(
        "getComputedStyle(document.getElementById('grid')).gridTemplateColumns.split(' ').length"
    )
    cards(page).first.focus()
    page.keyboard.press("ArrowRight")
    expect(cards(page).nth(1)).to_be_focused()
    page.keyboard.press("ArrowDown")
    expect(cards(page).nth(1 + columns)).to_be_focused()
    page.keyboard.press("ArrowLeft")
    page.keyboard.press("ArrowUp")
    expect(cards(page).first).to_be_focused()
    page.keyboard.press("ArrowUp")
    expect(cards(page).first).to_be_focused()
    page.keyboard.press("End")
    expect(cards(page).last).to_be_focused()
    page.keyboard.press("Home")
    liked = cards(page).first.locator(".name").inner_text()
    page.keyboard.press("+")
    expect(page.get_by_text(f"More like {liked}")).to_be_visible()
    expect(page.locator("#grid")).not_to_have_attribute("aria-busy", "true")
    cards(page).first.focus()
    disliked = cards(page).first.locator(".name").inner_text()
    page.keyboard.press("-")
    expect(page.get_by_text(f"Less like {disliked}")).to_be_visible()
    expect(page.locator("#grid")).not_to_have_attribute("aria-busy", "true")
    cards(page).first.focus()
    page.keyboard.press("w")
    expect(page.get_by_role("dialog", name="Why this?")).to_be_visible()
    page.keyboard.press("Escape")
    expect(cards(page).first).to_be_focused()


def test_a_slash_goes_to_the_search_box_and_stays_a_slash_in_it(page: Page) -> None:
    page.goto("/")
    expect(cards(page)).to_have_count(24)
    page.keyboard.press("/")
    expect(page.get_by_role("searchbox")).to_be_focused()
    page.keyboard.type("a/b-+w")
    expect(page.get_by_role("searchbox")).to_have_value("a/b-+w")
