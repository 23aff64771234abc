"""Steering the gallery: plus and minus, photos, words, and why something was answered."""

import re
from io import BytesIO

import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.e2e.gallery import cards, names, settled, steer
from tests.shop import draw


def photo(shape: str, colour: str) -> dict[str, object]:
    return {"name": "mine.png", "mimeType": "image/png", "buffer": draw(shape, colour, file_format="PNG")}


def test_likes_and_dislikes_steer_from_nothing(page: Page) -> None:
    page.goto("/?category=shapes")
    steer(page, "Less like Blue tall thing, variant 0")
    expect(page.get_by_text("Press + on something you like")).to_be_visible()
    expect(cards(page)).to_have_count(24)
    steer(page, "More like Red round thing, variant 0")
    expect(page.get_by_role("heading", name="Looks like this")).to_be_focused()
    expect(cards(page).first).to_contain_text("Red round thing, variant 1")
    assert not any("Blue tall" in name for name in names(page))
    steer(page, "More like Gold square thing, variant 0")
    expect(page.get_by_role("heading", name="Looks like these")).to_be_visible()
    expect(page).to_have_url(re.compile("category=shapes&.*positive=round-red-0&positive=square-gold-0"))
    chips = page.get_by_role("list", name="Likes and dislikes")
    expect(chips.get_by_role("listitem")).to_have_count(3)
    page.reload()
    expect(chips).to_contain_text("More like Gold square thing, variant 0")
    expect(chips).to_contain_text("Less like Blue tall thing, variant 0")
    page.go_back()
    expect(chips.get_by_role("listitem")).to_have_count(2)
    page.go_forward()

    page.get_by_role("button", name="Not asked any more: more like Gold square thing, variant 0").click()
    expect(chips.get_by_role("listitem")).to_have_count(2)
    expect(page.get_by_role("heading", name="Looks like this")).to_be_visible()
    page.get_by_role("button", name="Forget all").click()
    expect(page.get_by_role("heading", name="Shapes")).to_be_visible()
    expect(page).to_have_url(re.compile(r"\?category=shapes$"))


def test_likes_and_dislikes_steer_from_a_product(page: Page) -> None:
    page.goto("/?product=round-red-0")
    steer(page, "More like Blue tall thing, variant 0")
    expect(page.get_by_role("heading", name="Red round thing, variant 0")).to_be_visible()
    expect(page).to_have_url(re.compile("product=round-red-0&positive=tall-blue-0"))
    settled(page)
    assert {"Red round thing, variant 1", "Blue tall thing, variant 1"} == set(names(page)[:2])
    steer(page, "Less like Red round thing, variant 1")
    expect(page.get_by_text("Less like Red round thing, variant 1")).to_be_visible()
    settled(page)
    assert "Red round thing, variant 1" not in names(page)


def test_a_chosen_photo_finds_what_it_shows_and_is_steered(page: Page) -> None:
    page.goto("/")
    page.get_by_label("Find by photo").set_input_files([photo("tall", "gold")])  # type: ignore[list-item]
    expect(page.get_by_role("heading", name="Your photo")).to_be_focused()
    expect(cards(page).first).to_contain_text("Gold tall thing")
    page.get_by_label("In stock").check()
    expect(page.get_by_role("status").first).to_contain_text("13 lookalikes")
    steer(page, "More like Red round thing, variant 0")
    expect(page.get_by_text("More like Red round thing, variant 0")).to_be_visible()
    expect(page.get_by_role("status").first).to_contain_text("12 lookalikes")
    cards(page).first.click()
    expect(page.get_by_role("heading", name="Gold tall thing, variant 0")).to_be_visible()
    page.go_back()
    expect(page.get_by_role("heading", name="Your photo")).to_be_visible()
    expect(cards(page).first).to_contain_text("Gold tall thing")
    page.reload()
    expect(page.get_by_role("heading", name="This photo is no longer at hand")).to_be_visible()


def test_a_photo_is_pasted(page: Page) -> None:
    page.goto("/")
    expect(cards(page)).to_have_count(24)
    page.evaluate(
        """async (bytes) => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "pasted.png", {type: "image/png"}));
            const event = {clipboardData: data, bubbles: true, cancelable: true};
            document.body.dispatchEvent(new ClipboardEvent("paste", event));
        }""",
        list(draw("square", "blue", file_format="PNG")),
    )
    expect(page.get_by_role("heading", name="Your photo")).to_be_visible()
    expect(page.get_by_text("pasted.png")).to_be_visible()
    expect(cards(page).first).to_contain_text("Blue square thing")


@pytest.mark.parametrize("kind", ["photo", "text"])
def test_a_dropped_file_is_looked_for_or_explained(page: Page, kind: str) -> None:
    page.goto("/")
    expect(cards(page)).to_have_count(24)
    image = BytesIO()
    Image.open(BytesIO(draw("round", "green"))).save(image, "WEBP")
    transfer = page.evaluate_handle(
        """bytes => {
            const data = new DataTransfer();
            data.items.add(new File([new Uint8Array(bytes)], "dropped"));
            return data;
        }""",
        list(image.getvalue() if kind == "photo" else b"hello"),
    )
    page.dispatch_event("body", "dragover", {"dataTransfer": transfer})
    expect(page.get_by_text("Drop the photo")).to_be_visible()
    page.dispatch_event("body", "drop", {"dataTransfer": transfer})
    expect(page.get_by_text("Drop the photo")).to_be_hidden()
    if kind == "photo":
        expect(cards(page).first).to_contain_text("Green round thing")
    else:
        expect(page.get_by_role("alert")).to_contain_text("the uploaded image")
        expect(cards(page)).to_have_count(0)


def test_why_shows_the_two_pictures_that_matched(page: Page) -> None:
    page.goto("/?product=round-red-0&category=shapes")
    page.get_by_role("button", name="why Red round thing, variant 1?").click()
    why = page.get_by_role("dialog", name="Why this?")
    expect(why.locator("figure").first).to_contain_text("Red round thing, variant 0")
    expect(why.locator("figure").first).to_contain_text("Picture 2 of 2")
    expect(why.locator("figure").nth(1)).to_contain_text("Red round thing, variant 1")
    expect(why.locator("figure").nth(1)).to_contain_text("Picture 2 of 2")
    expect(why.locator("img").first).to_have_attribute("src", re.compile("round-red-0/images/1"))
    expect(why.locator("img").nth(1)).to_have_attribute("src", re.compile("round-red-1/images/1"))
    expect(why.get_by_text("1.00", exact=True)).to_be_visible()
    expect(why.get_by_role("row", name="Acme Brand Acme")).to_be_visible()
    page.keyboard.press("Escape")
    expect(why).to_be_hidden()
    expect(page.get_by_role("button", name="why Red round thing, variant 1?")).to_be_focused()
    page.get_by_role("button", name="why Red round thing, variant 1?").click()
    why.get_by_role("link", name="Open this product").click()
    expect(why).to_be_hidden()
    expect(page.get_by_role("heading", name="Red round thing, variant 1")).to_be_visible()


def test_why_names_the_like_or_the_photo_that_matched(page: Page) -> None:
    page.goto("/?product=round-red-0&positive=tall-blue-0")
    page.get_by_role("button", name="why Blue tall thing, variant 1?").click()
    figure = page.get_by_role("dialog").locator("figure").first
    expect(figure).to_contain_text("Blue tall thing, variant 0")
    page.get_by_role("button", name="Close").click()
    page.get_by_label("Find by photo").set_input_files([photo("tall", "gold")])  # type: ignore[list-item]
    page.get_by_role("button", name="why Gold tall thing, variant 0?").click()
    expect(figure).to_contain_text("Your photo")
    expect(figure.locator("img")).to_be_visible()


def test_without_a_text_tower_the_search_box_opens_a_product(page: Page) -> None:
    page.goto("/?in_stock=true")
    page.get_by_role("searchbox", name="Open a product by its ID").fill("tall-blue-1")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Blue tall thing, variant 1")).to_be_focused()
    expect(page).to_have_url(re.compile(r"\?in_stock=true&product=tall-blue-1$"))
    expect(page.get_by_label("In words")).to_be_hidden()
