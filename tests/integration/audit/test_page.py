"""The HTML report: what the JSON says, readable, and text only where the shop wrote it."""

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from recommender.index.protocol import IndexedImage
from tests.integration.audit.scene import NONE, Scene, finding, row, state_of, typed
from tests.shop import draw

HOSTILE = "<script>alert(1)</script>\"' onerror=alert(2) <img src=https://evil.example/x>"


class Page(HTMLParser):
    """What a browser would make of it: its tags, their attributes, its text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)
        self.text = " ".join(self.text.split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data

    def of(self, tag: str) -> list[dict[str, str | None]]:
        return [attributes for name, attributes in self.tags if name == tag]


def said(html: Path) -> Page:
    return Page(html.read_text(encoding="utf-8"))


def messy(scene: Scene) -> None:
    """Something of most kinds, in the worst of words."""
    uri, etag = scene.picture('"><img src=x onerror=alert(3)>.jpg', draw("round", "red"))
    scene.documents["hostile"] = scene.document("hostile", uri, f"{uri}&gone", title=HOSTILE)
    images = [IndexedImage(uri, etag, 0), IndexedImage(f"{uri}&gone", error=f"{uri}&gone: {HOSTILE}")]
    scene.write("hostile", state_of("upsert", scene.documents["hostile"]), images, row(9))
    scene.documents["hostile"] |= {"version": 8, "price": 1.0}
    scene.documents["absent"] = scene.document("absent", uri, title=HOSTILE, category=f"a/{HOSTILE[:20]}")
    scene.write("half", state_of("patch", {"id": "half", "version": 4, "price": 5}), [], NONE)
    scene.lines = [f'{{"id": "bad", "{HOSTILE[:8]}": 1}}']
    for number in range(6):
        scene.add(f"chart-{number}", seed=50 + number, image=(uri, etag))


def test_the_page_says_what_the_json_says(scene: Scene, tmp_path: Path) -> None:
    messy(scene)
    html = tmp_path / "report.html"
    report = scene.audit("--html", str(html))
    text = said(html).text
    assert len([found for found in report["findings"] if found["count"]]) == 6

    def shown(value: Any) -> None:
        assert " ".join(str(value).split()) in text

    for found in report["findings"]:
        shown(found["title"])
        if not found["count"]:
            continue
        shown(f"{found['title']}: {found['count']}")
        shown(found["why"])
        shown(found["what_to_do"])
        for reason in found["reasons"]:
            shown(reason)
        for example in found["examples"]:
            for part in (
                example["id"],
                example["title"],
                example["detail"],
                example["image"],
                *example["also"],
            ):
                shown(part or "")
            for category in example["category"] or ():
                shown(category)
    for left in report["not_looked_at"]:
        shown(left)
    shown(report["encoder"])


def test_what_the_shop_wrote_is_text_and_the_page_needs_nothing_beside_it(
    scene: Scene, tmp_path: Path
) -> None:
    messy(scene)
    html = tmp_path / "report.html"
    scene.audit("--html", str(html))
    page = said(html)
    assert not page.of("script")
    assert {attributes.get("src", "")[:22] for attributes in page.of("img")} == {"data:image/jpeg;base64"}
    assert not [name for _, attributes in page.tags for name in attributes if name.startswith("on")]
    assert all((attributes["href"] or "").startswith("#") for attributes in page.of("a"))
    assert any("default-src 'none'" in (attributes.get("content") or "") for attributes in page.of("meta"))
    assert not re.search(r"url\(|@import", html.read_text())


def test_thumbnails_are_bounded_and_described(scene: Scene, tmp_path: Path) -> None:
    messy(scene)
    html = tmp_path / "report.html"
    report = scene.audit("--html", str(html), "--thumbnails", "1")
    pictures = said(html).of("img")
    with_pictures = [
        found["kind"]
        for found in report["findings"]
        if found["examples"] and found["kind"] in {"stale", "unread", "shared"}
    ]
    assert len(pictures) == len(with_pictures) == 3
    assert all(
        "hostile" in (picture["alt"] or "") or "chart" in (picture["alt"] or "") for picture in pictures
    )
    scene.audit("--html", str(html), "--thumbnails", "0")
    assert not said(html).of("img")
    assert finding(report, "shared")["count"] == 1


def test_a_clean_catalog_is_told_as_one(scene: Scene, tmp_path: Path) -> None:
    html = tmp_path / "report.html"
    assert scene.audit("--html", str(html))["clean"]
    page = said(html)
    assert "Nothing was found." in page.text
    headings = [tag for tag, _ in page.tags if re.fullmatch("h[1-6]", tag)]
    assert headings[0] == "h1"
    assert headings.count("h1") == 1
    assert page.of("html")[0]["lang"] == "en"


def test_a_folder_that_does_not_exist_is_said_before_the_work(scene: Scene) -> None:
    scene.publish_feed()
    result = typed("--feed", scene.feed, "--html", "/nowhere/at/all.html")
    assert result.exit_code == 2
    assert "there is no folder" in " ".join(result.stderr.replace("│", " ").split())
