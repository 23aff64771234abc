"""A real browser, before a drawn shop that serves the gallery."""

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from playwright.sync_api import Browser, Page, expect, sync_playwright

from recommender.api.app import create_app
from recommender.api.serve import serve_in_thread
from tests.e2e.gallery import TRICKY, opened
from tests.shop import Shop, draw, filled_shop

HERE = Path(__file__).parent
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

expect.set_options(timeout=20_000)  # a busy machine is no error


@pytest.fixture(scope="module")
def axe() -> str:
    """The checker's script, installed here on first use. Without npm: skipped, but with CI=true a failure."""
    script = HERE / "node_modules" / "axe-core" / "axe.min.js"
    if not script.exists():
        npm = shutil.which("npm")
        if npm is None and os.environ.get("CI") != "true":
            pytest.skip("the accessibility test needs npm")
        assert npm is not None, "npm is not on PATH"
        command = [npm, "ci", "--ignore-scripts", "--no-audit", "--no-fund"]
        subprocess.run(command, cwd=HERE, check=True)  # noqa: S603
    return script.read_text()


@pytest.fixture(scope="module")
def browser() -> Iterator[Browser]:
    """Chromium. Without one a test is skipped, but fails with CI=true."""
    if not CHROMIUM.exists() and os.environ.get("CI") != "true":
        pytest.skip(f"the browser test needs {CHROMIUM} (apt-get install chromium)")
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield browser
        browser.close()


@pytest.fixture(scope="module")
def shop(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """The drawn catalog, and one product whose every text is hostile."""
    with filled_shop(s3_endpoint, tmp_path_factory.mktemp("shop")) as shop:
        shop.add(
            TRICKY, draw("round", "red", shift=6), title="<b>Bold</b> & tricky", url="javascript:alert(1)"
        )
        yield shop


@pytest.fixture(scope="module")
def url(shop: Shop) -> Iterator[str]:
    """Where the API serves the shop."""
    server = serve_in_thread(create_app(shop.resources, shop.settings), "127.0.0.1", 0)
    yield server.url
    server.stop()


@pytest.fixture
def page(browser: Browser, url: str) -> Iterator[Page]:
    """A page that must stay free of script errors and refused content."""
    with opened(browser, url) as page:
        yield page
