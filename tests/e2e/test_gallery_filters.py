"""Filters and rules of the gallery: live, counted, in the address, and relaxed where few products fit."""

import re

import pytest
from playwright.sync_api import Locator, Page, Route, expect

from tests.e2e.gallery import cards, names, settled


def status(page: Page) -> Locator:
    return page.get_by_role("status").first


def facet(page: Page, name: str) -> Locator:
    return page.get_by_role("group", name=name, exact=True)


def counts(facet: Locator) -> dict[str, int]:
    rows = [text.split("\n") for text in facet.locator(".check").all_inner_texts()]
    return {row[0]: int(row[-1]) for row in rows}


def test_filters_are_live_and_kept_in_the_address(page: Page) -> None:
    page.goto("/?product=round-red-0")
    expect(cards(page)).to_have_count(24)
    page.get_by_label("In stock").check()
    expect(status(page)).to_contain_text("12 lookalikes")
    page.get_by_label("Price from").fill("30")
    expect(status(page)).to_contain_text("4 lookalikes")
    expect(page).to_have_url(re.compile("in_stock=true&price_min=30"))
    assert all("tall" in name for name in names(page))
    page.reload()
    expect(page.get_by_label("Price from")).to_have_value("30")
    expect(status(page)).to_contain_text("4 lookalikes")
    page.get_by_label("Price from").fill("5000")
    expect(page.get_by_role("heading", name="Nothing matches")).to_be_visible()
    expect(cards(page)).to_have_count(0)
    page.get_by_role("button", name="Clear the filters").click()
    expect(cards(page)).to_have_count(24)
    page.get_by_label("One per style").check()
    expect(status(page)).to_contain_text("12 lookalikes")


def test_each_choice_is_counted_as_if_its_own_field_were_free(page: Page) -> None:
    page.goto("/")
    expect(facet(page, "Brand")).to_be_visible()
    assert counts(facet(page, "Brand")) == {"Acme": 12, "Bolt": 12}
    assert counts(facet(page, "Colour")) == {"blue": 6, "gold": 6, "green": 6, "red": 6}
    facet(page, "Brand").get_by_label("Acme").check()
    expect(status(page)).to_have_text("12 products shown")
    expect(facet(page, "Colour").locator(".check")).to_have_count(2)
    assert counts(facet(page, "Brand")) == {"Acme": 12, "Bolt": 12}
    assert counts(facet(page, "Colour")) == {"blue": 6, "red": 6}
    facet(page, "Colour").get_by_label("red").check()
    expect(status(page)).to_have_text("6 products shown")
    facet(page, "Colour").get_by_label("blue").check()
    expect(status(page)).to_have_text("12 products shown")
    expect(page).to_have_url(re.compile(r"brand=Acme&attr.colour=blue&attr.colour=red"))
    expect(page.get_by_role("link", name="Shapes 12")).to_be_visible()

    page.get_by_role("button", name="Without the filter colour: blue").click()
    expect(status(page)).to_have_text("6 products shown")
    expect(facet(page, "Colour").get_by_label("blue")).not_to_be_checked()
    page.get_by_role("button", name="Clear filters").click()
    expect(page).to_have_url(re.compile("/$"))
    expect(page.get_by_role("list", name="Filters in use")).to_be_hidden()


def test_the_two_thumbs_of_the_price_are_moved_by_keyboard(page: Page) -> None:
    page.goto("/?category=shapes")
    low, high = (
        page.get_by_role("slider", name="Lowest price"),
        page.get_by_role("slider", name="Highest price"),
    )
    expect(low).to_have_attribute("aria-valuetext", "any")
    low.press("ArrowRight")
    expect(page.get_by_label("Price from")).to_have_value("11")
    expect(low).to_have_attribute("aria-valuetext", "€11.00")
    expect(status(page)).to_have_text("22 products shown")
    high.press("ArrowLeft")
    expect(page.get_by_label("Price to")).to_have_value("32")
    expect(status(page)).to_have_text("20 products shown")
    expect(page).to_have_url(re.compile("price_min=11&price_max=32"))
    expect(high).to_be_focused()
    high.press("Home")  # no further than the other thumb
    expect(page.get_by_label("Price to")).to_have_value("11")
    expect(status(page)).to_have_text("2 products shown")
    high.press("End")
    low.press("Home")
    expect(status(page)).to_have_text("24 products shown")
    expect(page).to_have_url(re.compile(r"category=shapes$"))


def test_a_dragged_thumb_sets_the_price(page: Page) -> None:
    page.goto("/?category=shapes")
    low = page.get_by_role("slider", name="Lowest price")
    expect(low).to_be_visible()
    box = low.bounding_box()
    assert box is not None
    page.mouse.move(box["x"] + 11, box["y"] + box["height"] / 2)
    page.mouse.down()
    page.mouse.move(box["x"] + box["width"] / 2, box["y"] + box["height"] / 2, steps=4)
    page.mouse.up()
    expect(page).to_have_url(re.compile("price_min=2"))
    settled(page)
    assert 0 < cards(page).count() < 24


def test_diversity_varies_the_answers(page: Page) -> None:
    page.goto("/?product=round-red-0")
    settled(page)
    alike = names(page)
    page.get_by_role("slider", name="Diversity").press("End")
    expect(page).to_have_url(re.compile("diversity=1"))
    expect(status(page)).to_contain_text("varied")
    settled(page)
    assert sorted(names(page)) == sorted(alike)
    assert names(page) != alike
    page.reload()
    expect(page.get_by_role("slider", name="Diversity")).to_have_value("1")


@pytest.mark.parametrize(
    ("rule", "value", "left"),
    [
        ("Of one brand", "2 at most", 4),
        ("Its brand", "others", 12),
        ("Its price", "within 10%", 3),
    ],
)
def test_rules_beside_the_product(page: Page, rule: str, value: str, left: int) -> None:
    page.goto("/?product=round-red-0&category=shapes")
    page.get_by_role("button", name="More rules").click()
    page.get_by_label(rule).select_option(value)
    expect(status(page)).to_contain_text(f"{left} lookalikes")
    expect(page.get_by_role("button", name="More rules 1")).to_be_visible()
    page.get_by_label(rule).select_option(index=0)
    expect(status(page)).to_contain_text("23 lookalikes")


def test_what_comes_close_is_offered_where_few_fit_and_said_where_it_is_shown(page: Page) -> None:
    page.goto("/?product=round-red-0&attr.colour=red&category=shapes/tall")
    expect(page.get_by_role("heading", name="Only 2 products fit")).to_be_visible()
    page.get_by_role("button", name="Show what comes close").click()
    note = page.get_by_text("filters were relaxed")
    expect(note).to_contain_text("any colour")
    expect(note).to_contain_text("all of shapes")
    expect(page).to_have_url(re.compile("relax=attributes&relax=price&relax=category"))
    settled(page)
    assert cards(page).count() > 2
    page.get_by_role("button", name="Hold to the filters").click()
    expect(cards(page)).to_have_count(2)
    expect(note).to_be_hidden()


def test_an_attribute_of_many_numbers_is_a_range(page: Page) -> None:
    def with_numbers(route: Route) -> None:
        answer = route.fetch().json()
        answer["facets"]["attr.sizes"] = {str(n / 2): 1 for n in range(20)}
        route.fulfill(json=answer)

    page.route("**/v1/facets?*field=attr.sizes*", with_numbers)
    page.goto("/")
    facet(page, "Sizes").get_by_label("Sizes from").fill("3.5")
    expect(page).to_have_url(re.compile(r"\?attr.sizes.min=3.5$"))
    expect(page.get_by_role("list", name="Filters in use")).to_contain_text("sizes from 3.5")
    expect(facet(page, "Sizes").get_by_role("checkbox")).to_have_count(0)
