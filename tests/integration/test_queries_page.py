"""Every example of docs/queries.md, run against a shop that has what they name."""

import json
import re
import shlex
from collections.abc import Iterator
from contextlib import nullcontext
from pathlib import Path

import httpx
import pytest
from typer.testing import CliRunner

from config.settings import PREFIX
from tests.conftest import object_store
from tests.pixels import ReadingEncoder
from tests.shop import Shop, draw, opened_shop, served
from worker.cli import app
from worker.owner import Owner, leave_address, new_token

PAGE = (Path(__file__).parents[2] / "docs" / "queries.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)


def commands() -> list[list[str]]:
    """The words of every command in the page's shell blocks."""
    found: list[list[str]] = []
    for language, text in BLOCKS:
        if language == "sh":
            for word in shlex.split(text):
                if word in ("curl", "lookalike"):
                    found.append([])
                found[-1].append(word)
    return found


@pytest.fixture(scope="module")
def shop(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    values = {"index": {"attributes": ["colour", "heel"]}}
    folder = tmp_path_factory.mktemp("shop")
    with (
        object_store(s3_endpoint, "shop-images") as store,
        opened_shop(store, folder, ReadingEncoder, **values) as shop,
    ):
        store.put("photo.jpg", draw("round", "red"))
        for number, (shape, colour) in enumerate([(s, c) for s in ("round", "tall") for c in COLOURS] * 2):
            shop.add(
                f"sku-{123 + number}",
                draw(shape, COLOURS[colour], shift=number % 5),
                draw(shape, COLOURS[colour], shift=-number % 5, file_format="PNG"),
                category=f"women/shoes/{'boots' if number % 2 else 'heels'}",
                brand=("Acme", "Zeta", "Bolt")[number % 3],
                price=100.0 - 3 * number,
                currency="EUR",
                group_id=f"style-{number // 2}",
                attributes={"colour": colour, "heel": number % 8},
            )
        yield shop


COLOURS = {"black": "#202020", "brown": "#7b4a2b", "red": "#c0392b"}


@pytest.fixture(scope="module")
def api(shop: Shop) -> Iterator[httpx.Client]:
    """The API, at an address that commands find."""
    token = new_token()
    with served(shop, extra_keys=(token,)) as client:
        owner = Owner(str(client.base_url).rstrip("/"), token, "", 0)
        with leave_address(shop.settings.data_dir, owner):
            yield client


def curl(api: httpx.Client, words: list[str], folder: Path) -> httpx.Response:
    body, fields, files, url = None, {}, {}, ""
    rest = iter(words)
    for word in rest:
        if word == "--json":
            body = json.loads(next(rest))
        elif word == "-F":
            name, _, value = next(rest).partition("=")
            if value.startswith("@"):
                files[name] = (folder / value[1:]).read_bytes()
            else:
                fields[name] = value
        else:
            url = word.removeprefix("127.0.0.1:8000")
    method = "GET" if body is None and not files else "POST"
    return api.request(method, url, json=body, data=fields or None, files=files or None)


@pytest.mark.parametrize("words", commands(), ids=" ".join)
def test_a_command_of_the_page_is_answered(
    words: list[str], api: httpx.Client, shop: Shop, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "photo.jpg").write_bytes(draw("round", "red"))
    asked = json.dumps({"positive": ["sku-124"], "negative": ["sku-125"]})
    (tmp_path / "questions.txt").write_text(f"sku-123\n{asked}\n\nnobody\n")
    if words[0] == "curl":
        response = curl(api, words[1:], tmp_path)
        assert response.status_code == 200, response.text
        answer = response.json()
        lists = {"items", "answers", "facets", "categories"} & answer.keys()
        assert all(answer[name] for name in lists), answer
        assert all(one["items"] for one in answer.get("answers", [])), answer
        return
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv(f"{PREFIX}DATA_DIR", str(shop.settings.data_dir))
    result = CliRunner().invoke(app, words[1:], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    assert "sku-" in result.stdout
    if "--questions" in words:
        answers = [json.loads(line) for line in result.stdout.splitlines()]
        assert ["items" in answer for answer in answers] == [True, True, False]
        assert all(len(answer["items"]) <= 4 for answer in answers[:2])


def test_the_commands_of_the_tables_are_commands(api: httpx.Client) -> None:
    rows = [line for line in PAGE.splitlines() if line.startswith("|")]
    options = {word for row in rows for word in re.findall(r"--[a-z-]+", row)} - {"---"}
    known = CliRunner().invoke(app, ["similar", "--help"], env={"COLUMNS": "200", "TERM": "dumb"}).stdout
    assert {option for option in options if set(option) != {"-"}} <= set(re.findall(r"--[a-z-]+", known))
    queries = [query for row in rows for query in re.findall(r"`([a-z_.]+=[^`\s]+)`", row)]
    assert len(queries) >= 14
    for query in queries:
        response = api.get(f"/v1/products/sku-123/similar?{query}")
        assert response.status_code == 200, response.text


def test_the_python_example_runs(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    (code,) = [text for language, text in BLOCKS if language == "python"]
    monkeypatch.setattr("recommender.resources.open_resources", lambda _: nullcontext(shop.resources))
    names: dict[str, object] = {}
    exec(code, names)  # noqa: S102  # our own page's
    assert names["brands"] == shop.recommender.facet("brand", names["Filter"](in_stock=True))  # type: ignore[operator]
    assert len(names["answers"]) == 2  # type: ignore[arg-type]


def test_the_answer_of_the_page_has_the_fields_of_an_answer(api: httpx.Client) -> None:
    (shown,) = [json.loads(text) for language, text in BLOCKS if language == "json"]
    answer = api.get("/v1/products/sku-123/similar").json()
    assert set(shown) == set(answer)
    assert set(shown["items"][0]) == set(answer["items"][0])
    assert set(shown["items"][0]["match"]) == set(answer["items"][0]["match"])
