"""The audit's HTML report in a browser: no rule of axe-core broken, nothing fetched, nothing run."""

from typing import Any, Literal

import pytest
from playwright.sync_api import Browser

from tests.e2e.axe import violations
from tests.e2e.gallery import PHONE_PX
from tests.shop import draw
from worker.audit import kinds
from worker.audit.page import html_of

HOSTILE = (
    "<script>document.title = 'run'</script><img src=https://evil.example/x onerror=\"document.title='run'\">"
)


def report() -> dict[str, Any]:
    """Something of each kind."""
    example = {
        "id": "sku-1",
        "title": HOSTILE,
        "category": ["women/shoes"],
        "image": f"s3://shop-images/{HOSTILE}",
        "detail": "on 7 products",
        "also": ["sku-2", HOSTILE],
    }
    every = (*kinds.OF_THE_FEED, *kinds.OF_BUCKETS, *kinds.OF_THE_INDEX, kinds.ALIKE)
    findings = [
        {
            "kind": kind.name,
            "title": kind.title,
            "count": 3,
            "why": kind.why,
            "what_to_do": kind.what_to_do,
            "repair": kind.repair,
            "reasons": {HOSTILE: 2, "truncated": 1},
            "examples": [example, example | {"id": "", "title": None, "image": None, "also": []}],
        }
        for kind in every
    ]
    findings[0] |= {"count": 0, "examples": []}
    return {
        "catalog": "shop",
        "encoder": "compact-1a2b3c4d5e6f",
        "made_at": "2026-11-24T18:00:00+00:00",
        "took_s": 2.0,
        "clean": False,
        "compared": {
            "products": 1200,
            "pictures": 3600,
            "tombstones": 2,
            "stubs": 1,
            "buckets": {"s3://shop-images/": 3600},
            "feed": {"uri": "s3://f", "records": 9, "index_is_newer": 1, "not_in_it_yet": 0},
        },
        "not_looked_at": ["pictures elsewhere"],
        "findings": findings,
        "repair": {
            "published": [{"event": "products.embed", "products": 3, "messages": 1}],
            "left": [HOSTILE],
        },
    }


@pytest.mark.parametrize("width", [1280, PHONE_PX])
@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_it_breaks_no_rule_and_runs_nothing(
    browser: Browser, axe: str, width: int, scheme: Literal["light", "dark"]
) -> None:
    pictures = {(kind.name, 0): draw("round", "red") for kind in kinds.OF_THE_INDEX}
    page = browser.new_page(viewport={"width": width, "height": 900}, color_scheme=scheme)
    asked: list[str] = []
    page.on("request", lambda request: asked.append(request.url))
    page.set_content(html_of(report(), pictures))
    assert violations(page, axe) == []
    assert page.title() == "Audit of shop"
    assert [url for url in asked if not url.startswith("data:")] == []
    assert page.evaluate("document.documentElement.scrollWidth <= innerWidth")
    assert page.evaluate("[...document.images].every((image) => image.naturalWidth > 0)")
    page.close()
