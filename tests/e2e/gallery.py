"""The gallery's page as its tests see it."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from playwright.sync_api import Browser, Locator, Page

TRICKY = 'a/b "similar"?<img src=x onerror=alert(1)>'
PHONE_PX = 390


@contextmanager
def opened(
    browser: Browser, url: str, *, width: int = 1280, scheme: Literal["light", "dark"] = "light"
) -> Iterator[Page]:
    """A page that must stay free of script errors, refused content and warnings of our own."""
    context = browser.new_context(
        base_url=url,
        viewport={"width": width, "height": 860},
        color_scheme=scheme,
        has_touch=width <= PHONE_PX,
        locale="en-GB",
        reduced_motion="reduce",
    )
    page = context.new_page()
    complaints: list[str] = []
    page.on("pageerror", lambda error: complaints.append(str(error)))
    page.on(
        "console",
        lambda message: complaints.append(message.text) if message.type in {"error", "warning"} else None,
    )
    yield page
    context.close()
    assert [text for text in complaints if "Failed to load resource" not in text] == []


def cards(page: Page) -> Locator:
    """The links of the products shown."""
    return page.locator("#grid > li:not([inert]) .card")


def names(page: Page) -> list[str]:
    """The titles of the products shown."""
    return page.locator("#grid .card .name").all_inner_texts()


def settled(page: Page) -> None:
    """Wait until what was asked for is shown."""
    page.locator("#grid:not(.waiting)").wait_for(state="attached")


def steer(page: Page, name: str) -> None:
    """Press "More like NAME" or "Less like NAME"."""
    page.get_by_role("button", name=name, exact=True).click()


def pictures_shown(page: Page) -> bool:
    """Whether every picture in sight was loaded; those further down wait until they are scrolled to."""
    shown: bool = page.evaluate(
        """Promise.all([...document.images]
            .filter(image => image.checkVisibility() && image.getBoundingClientRect().top < innerHeight)
            .map(image => image.decode().then(() => image.naturalWidth > 0, () => false))
        ).then(all => all.length > 1 && all.every(Boolean))"""
    )
    return shown
