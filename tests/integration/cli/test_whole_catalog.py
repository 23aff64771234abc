"""`lookalike duplicates` and `lookalike clusters` as they are typed, on a drawn catalog."""

import json
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
from click.testing import Result
from PIL import Image
from typer.testing import CliRunner

from config.settings import PREFIX
from recommender import resources
from recommender.errors import InvalidQuery, TransientError
from recommender.resources import open_resources
from tests.integration.index.qdrant_servicer import qdrant_server
from tests.pixels import PixelEncoder
from tests.shop import Shop, draw, filled_shop, served
from worker.cli import app, gathering
from worker.cli.query import Api
from worker.owner import Owner, leave_address, new_token

Typed = Callable[..., Result]


@pytest.fixture(scope="module")
def shop(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Besides the drawn catalog: one photo under three ids, and one that was never embedded."""
    with filled_shop(s3_endpoint, tmp_path_factory.mktemp("shop")) as opened:
        photo, other = draw("round", "gold", shift=9), draw("tall", "#000000")
        opened.add("copy-a", photo, category="sale", title="A copy")
        opened.add("copy-b", other, photo, category="sale/old", group_id="twins")
        opened.add("copy-c", photo, category=["new", "sale"], group_id="twins")
        opened.add("unseen", photo, broken=True, category="sale")
        yield opened


@pytest.fixture(scope="module")
def owned(shop: Shop) -> Iterator[httpx.Client]:
    """The shop's API as the owner of the index serves it."""
    token = new_token()
    with (
        served(shop, extra_keys=(token,)) as client,
        leave_address(shop.settings.data_dir, Owner(str(client.base_url).rstrip("/"), token, "", 1)),
    ):
        yield client


@pytest.fixture
def typed(shop: Shop, owned: httpx.Client, monkeypatch: pytest.MonkeyPatch) -> Typed:
    assert owned.get("/healthz").is_success
    monkeypatch.setenv(f"{PREFIX}DATA_DIR", str(shop.settings.data_dir))
    monkeypatch.setenv("COLUMNS", "160")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, list(arguments))

    return run


def said(result: Result) -> Any:
    assert result.exit_code == 0, (result.stderr, result.exception)
    return json.loads(result.stdout)


@pytest.mark.parametrize("engine", ["embedded", "server"])
def test_where_nobody_owns_the_index_the_command_asks_it_itself(
    s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setattr(resources, "open_resources", partial(open_resources, load=lambda _: PixelEncoder()))
    with qdrant_server(tmp_path / "qdrant") as (port, _):
        index: dict[str, Any] = {"url": f"edge:{tmp_path / 'index'}"}
        if engine == "server":
            index = {"url": "http://127.0.0.1:6333", "grpc_port": port}
        with filled_shop(s3_endpoint, tmp_path, index=index):
            pass
        for name, value in {"DATA_DIR": tmp_path, **{f"INDEX__{k}": v for k, v in index.items()}}.items():
            monkeypatch.setenv(f"{PREFIX}{name}".upper(), str(value))
        found = said(CliRunner().invoke(app, ["duplicates", "--min-score", "1", "--json"]))
        groups = said(CliRunner().invoke(app, ["clusters", "-k", "3", "--json"]))
    assert found["compared"] == {"products": 24, "images": 48}
    assert found["found"]["products"] == 24  # each has a photo that its variant has too
    assert sum(group["size"] for group in groups["clusters"]) == 24


def pages(client: httpx.Client, **parameters: Any) -> list[dict[str, Any]]:
    found, cursor = [], {}
    while True:
        page = client.get("/v1/embeddings", params={**parameters, **cursor}).raise_for_status().json()
        found.append(page)
        if page["cursor"] is None:
            return found
        cursor = {"cursor": page["cursor"]}


def test_the_api_pages_every_searchable_product_with_its_rows(shop: Shop, owned: httpx.Client) -> None:
    found = pages(owned, limit=10)
    assert [page["total"] for page in found] == [27, None, None]
    assert {page["encoder"] for page in found} == {"pixels-000000000000"}
    with_rows = gathering.gather(Api(owned.request), {"limit": 5})
    ids = [product.id for product in with_rows.products]
    assert len(ids) == len(set(ids)) == 27
    stored = shop.index.read(ids, vectors=True)
    for place, product in enumerate(with_rows.products):
        own = with_rows.looks.vectors[with_rows.looks.starts[place] : with_rows.looks.starts[place + 1]]
        np.testing.assert_array_equal(own, stored[product.id].vectors)
        assert product.images == tuple(range(len(own)))


def test_rows_of_two_encoders_are_not_mixed() -> None:
    product = {"id": "a", "title": None, "category": ["x"], "group_id": None}
    item = product | {"images": [0], "rows": "AACAPw==", "uris": ["s3://b/a.jpg"], "etags": [None]}
    said = [
        {"items": [item], "encoder": encoder, "dimension": 1, "total": 2, "cursor": "more"}
        for encoder in ("old-000000000000", "new-111111111111")
    ]

    class Flipped:
        def ask(self, *_: Any, **__: Any) -> dict[str, Any]:
            return said.pop(0)

    with pytest.raises(TransientError, match="new-111111111111 took over from old-000000000000"):
        gathering.gather(Flipped(), {})  # type: ignore[arg-type]


def test_the_filters_of_the_api_apply(owned: httpx.Client) -> None:
    (page,) = pages(owned, category="sale")
    assert {item["id"] for item in page["items"]} == {"copy-a", "copy-b", "copy-c"}
    assert page["total"] == 3
    problem = owned.get("/v1/embeddings", params={"colour": "red"})
    assert (problem.status_code, problem.json()["parameter"]) == (400, "colour")
    assert owned.get("/v1/embeddings", params={"limit": 101}).status_code == 400


def test_the_same_photo_under_several_ids_is_found(typed: Typed) -> None:
    found = said(typed("duplicates", "--min-score", "1", "--json"))
    assert found["compared"] == {"products": 27, "images": 24 * 2 + 4}
    copies = next(group for group in found["groups"] if group["products"][0]["id"].startswith("copy"))
    assert copies["score"] == 1
    members = {product["id"]: (product["image"], product["score"]) for product in copies["products"]}
    assert members == {"copy-a": (0, 1), "copy-b": (1, 1), "copy-c": (0, 1)}
    of_copies = [pair for pair in found["pairs"] if pair["products"][0].startswith("copy")]
    assert len(of_copies) == 3
    for pair in of_copies:
        images = {"copy-a": 0, "copy-b": 1, "copy-c": 0}
        assert pair["images"] == [images[product] for product in pair["products"]]


def test_a_family_can_be_left_out_and_the_catalog_narrowed(typed: Typed) -> None:
    narrowed = ("duplicates", "--min-score", "1", "--json", "--category", "sale")
    assert said(typed(*narrowed))["found"] == {"groups": 1, "products": 3, "pairs": 3}
    assert said(typed(*narrowed, "--exclude-family"))["found"] == {"groups": 1, "products": 3, "pairs": 2}
    shown = said(typed(*narrowed, "--limit", "1"))
    assert (len(shown["pairs"]), shown["found"]["pairs"]) == (1, 3)
    one = said(typed("duplicates", "--json", "--category", "shapes/tall", "--attr", "colour=red"))
    assert one["compared"]["products"] == 2


def test_the_table_names_every_product_of_a_group(typed: Typed) -> None:
    table = typed("duplicates", "--min-score", "1", "--category", "sale").stdout
    assert all(name in table for name in ("copy-a", "copy-b", "copy-c", "A copy"))
    assert "3 of 3 products in 1 groups, 3 pairs" in table


def test_groups_are_those_of_the_shapes(typed: Typed) -> None:
    found = said(typed("clusters", "--category", "shapes", "--json"))
    assert (found["products"], found["k_by"]) == (24, "silhouette")
    assert sum(group["size"] for group in found["clusters"]) == 24
    for group in found["clusters"]:
        assert group["products"][0] == group["medoid"]["id"]
        assert group["name"] == group["medoid"]["title"]
        assert len({product.rpartition("-")[0] for product in group["products"]}) <= 4
    assert said(typed("clusters", "--category", "shapes", "--json")) == found
    assert said(typed("clusters", "--category", "shapes", "--json", "-k", "3"))["k"] == 3
    table = typed("clusters", "--category", "shapes", "-k", "3").stdout
    assert "24 products in 3 groups, silhouette" in table


def opened(path: Path) -> Image.Image:
    with Image.open(path) as image:
        return image.convert("RGB")


def test_sheets_show_the_products(typed: Typed, tmp_path: Path) -> None:
    copies, groups = tmp_path / "copies.png", tmp_path / "groups.png"
    assert (
        typed("duplicates", "--min-score", "1", "--category", "sale", "--sheet", str(copies)).exit_code == 0
    )
    assert typed("clusters", "--category", "shapes", "-k", "2", "--sheet", str(groups)).exit_code == 0
    gold, red = (0xD4, 0xA0, 0x17), (0xC0, 0x39, 0x2B)

    def shown(path: Path, colour: tuple[int, int, int]) -> bool:
        seen = [np.array(one, int) for _, one in opened(path).getcolors(10**6) or []]
        return any(np.abs(one - colour).max() < 8 for one in seen)

    assert shown(copies, gold)
    assert not shown(copies, red)  # by the images that are alike, and not by the first ones
    assert shown(groups, gold)
    assert shown(groups, red)
    assert opened(groups).height > opened(copies).height


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("duplicates", "--sheet", "sheet.txt"), "must end with"),
        (("clusters", "--sheet", "/nowhere/at/all.png"), "there is no folder"),
        (("duplicates", "--attr", "colour"), "expected NAME=VALUE"),
    ],
)
def test_what_can_not_be_done_is_said_before_the_work(
    typed: Typed, arguments: tuple[str, ...], message: str
) -> None:
    result = typed(*arguments)
    assert result.exit_code == 2
    assert message in " ".join(result.stderr.replace("│", " ").split())


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("duplicates", "--category", "nothing"), "no searchable product matches"),
        (("clusters", "--category", "sale", "-k", "4"), "k: must be 1 to 3, of 3 products"),
        (("duplicates", "--attr", "size=3"), "is not declared"),
    ],
)
def test_a_wrong_question_is_one_clear_error(typed: Typed, arguments: tuple[str, ...], message: str) -> None:
    error = typed(*arguments).exception
    assert message in str(error)


def test_a_page_that_fails_for_a_moment_is_asked_for_again(
    owned: httpx.Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(gathering, "_PAUSES_S", (0, 0))
    answers: list[str] = []

    def flaky(method: str, path: str, **request: Any) -> httpx.Response:
        answers.append(path)
        if len(answers) % 3:
            return httpx.Response(503, json={"detail": "overloaded"})
        return owned.request(method, path, **request)

    assert len(gathering.gather(Api(flaky), {"limit": 10}).products) == 27
    assert len(answers) == 9
    with pytest.raises(TransientError, match="overloaded"):
        gathering.gather(Api(lambda *_, **__: httpx.Response(503, json={"detail": "overloaded"})), {})


def test_nothing_to_gather_is_an_error(owned: httpx.Client) -> None:
    with pytest.raises(InvalidQuery, match="no searchable product"):
        gathering.gather(Api(owned.request), {"category": "unheard/of"})
