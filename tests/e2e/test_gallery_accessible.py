"""The gallery under axe-core: no violation in any state, in light and dark, at two widths."""

from typing import Literal

import pytest
from playwright.sync_api import Browser, Page, expect

from tests.e2e.axe import violations
from tests.e2e.gallery import PHONE_PX, cards, opened, settled
from tests.shop import Shop

STATES = {
    "grid": "/",
    "category": "/?category=shapes/round&in_stock=true",
    "product": "/?product=round-red-0",
    "answers": "/?product=round-red-0&positive=tall-red-0&negative=tall-blue-0&diversity=0.5&brand=Acme",
    "relaxed": "/?product=round-red-0&attr.colour=red&category=shapes/tall&relax=attributes",
    "likes": "/?positive=round-red-0&positive=tall-blue-0",
    "few": "/?product=round-red-0&attr.colour=red&category=shapes/tall",
    "empty": "/?product=round-red-0&price_min=5000",
    "missing": "/?product=nope",
}


def fold_out(page: Page) -> None:
    """Show what the page hides until it is asked for."""
    if not page.locator("#narrow").get_attribute("open"):
        page.evaluate("for (const fold of document.querySelectorAll('details')) fold.open = true")
    more = page.get_by_role("button", name="More rules")
    if more.is_visible():
        more.click()


@pytest.mark.parametrize("width", [1280, PHONE_PX])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_no_state_breaks_a_rule(
    browser: Browser, url: str, axe: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    with opened(browser, url, width=width, scheme=scheme) as page:
        for state, path in STATES.items():
            page.goto(path)
            settled(page)
            page.locator("#facets .facet").first.wait_for(state="attached")
            assert violations(page, axe) == [], f"{state} at {path}"
        page.goto(STATES["answers"])
        settled(page)
        fold_out(page)
        assert violations(page, axe) == [], "everything folded out"
        page.locator("button.score").first.click()
        expect(page.get_by_role("dialog")).to_be_visible()
        assert violations(page, axe) == [], "why"


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_nor_do_a_photo_a_failure_and_the_question_for_a_key(
    browser: Browser, url: str, shop: Shop, axe: str, scheme: Literal["light", "dark"]
) -> None:
    del shop
    with opened(browser, url, scheme=scheme) as page:
        page.goto("/")
        expect(cards(page)).to_have_count(24)
        photo = {"name": "a.txt", "mimeType": "text/plain", "buffer": b"hello"}
        page.get_by_label("Find by photo").set_input_files([photo])  # type: ignore[list-item]
        expect(page.get_by_role("alert")).to_be_visible()
        assert violations(page, axe) == [], "a file that is no photo"
        page.route("**/v1/catalog", lambda route: route.fulfill(status=401, json={"detail": "give a key"}))
        page.reload()
        expect(page.get_by_label("API key")).to_be_focused()
        assert violations(page, axe) == [], "the question for a key"
