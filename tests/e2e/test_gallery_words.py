"""The gallery where the encoder reads text: words alone, and words that move what a picture asks."""

import re
from collections.abc import Iterator

import pytest
from playwright.sync_api import Page, expect

from tests.e2e.gallery import cards, names, settled, steer
from tests.pixels import ReadingEncoder
from tests.shop import Shop, filled_shop


@pytest.fixture(scope="module")
def shop(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with filled_shop(s3_endpoint, tmp_path_factory.mktemp("shop"), encoder=ReadingEncoder) as shop:
        yield shop


def test_words_find_and_are_mixed_with_a_like(page: Page) -> None:
    page.goto("/?in_stock=true")
    page.keyboard.press("/")
    page.keyboard.type("something blue")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="“something blue”")).to_be_focused()
    expect(page).to_have_url(re.compile(r"\?in_stock=true&text=something\+blue$"))
    settled(page)
    assert all(name.startswith("Blue") for name in names(page)[:2])
    page.locator("button.score").first.click()
    why = page.get_by_role("dialog")
    expect(why.locator("figure").first).to_contain_text("Your words")
    expect(why.locator("figure").first).to_contain_text("“something blue”")
    page.keyboard.press("Escape")

    steer(page, "More like Gold square thing, variant 0")
    expect(page.get_by_label("In words")).to_have_value("something blue")
    weight = page.get_by_role("slider", name="Weight of the words")
    expect(weight).to_have_value("0.5")
    weight.press("Home")
    expect(page).to_have_url(re.compile("text_weight=0"))
    expect(cards(page).first).to_contain_text("Gold")
    weight.press("End")
    expect(cards(page).first).to_contain_text("Blue")
    page.reload()
    expect(cards(page).first).to_contain_text("Blue")
    expect(weight).to_have_value("1")


def test_words_move_what_a_product_asks(page: Page) -> None:
    page.goto("/?product=tall-red-0")
    expect(cards(page).first).to_contain_text("Red tall thing, variant 1")
    page.get_by_label("In words").fill("but blue")
    expect(page).to_have_url(re.compile(r"product=tall-red-0&text=but\+blue"))
    expect(cards(page).first).to_contain_text("Blue")
    page.get_by_label("In words").fill("")
    expect(cards(page).first).to_contain_text("Red tall thing, variant 1")
    expect(page.get_by_role("slider", name="Weight of the words")).to_be_hidden()


def test_an_id_opens_its_product_where_words_are_read_too(page: Page) -> None:
    page.goto("/")
    page.get_by_role("searchbox", name="Search by words or a product's ID").fill("tall-blue-1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Blue tall thing, variant 1")).to_be_visible()
