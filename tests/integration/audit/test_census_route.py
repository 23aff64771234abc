"""The census over HTTP: every point once, page by page, and states as they are kept."""

from typing import Any

import httpx
import pytest

from recommender.index.schema import state_from_text
from tests.integration.audit.scene import NONE, Scene, state_of
from worker.owner import read_address


@pytest.fixture
def api(scene: Scene) -> Any:
    owner = read_address(scene.shop.settings.data_dir)
    assert owner is not None
    with httpx.Client(base_url=owner.url, headers=owner.headers, trust_env=False) as client:
        yield client


def test_every_point_comes_once_tombstones_too(scene: Scene, api: httpx.Client) -> None:
    scene.write("gone", state_of("delete", {"id": "gone", "version": 9}), [], NONE)
    items: list[dict[str, Any]] = []
    totals: list[int | None] = []
    cursor: dict[str, str] = {}
    while True:
        page = api.get("/v1/census", params={"limit": 3, **cursor}).raise_for_status().json()
        items += page["items"]
        totals.append(page["total"])
        if page["cursor"] is None:
            break
        cursor = {"cursor": page["cursor"]}
    assert totals == [7, None, None]
    known = {entry.id: entry for entry in scene.shop.index.census().entries}
    assert sorted(item["id"] for item in items) == sorted(known)
    for item in items:
        entry = known[item["id"]]
        assert (item["status"], item["version"], item["digest"]) == (
            entry.status,
            entry.version,
            entry.digest,
        )
        assert [image["etag"] for image in item["images"]] == [image.etag for image in entry.images]


def test_states_come_back_as_they_are_kept(scene: Scene, api: httpx.Client) -> None:
    asked = {"id": ["sku-0", "sku-1", "unknown"]}
    states = api.get("/v1/census/states", params=asked).raise_for_status().json()["states"]
    stored = scene.shop.index.read(asked["id"])
    assert {name: state_from_text(text) for name, text in states.items()} == {
        name: one.state for name, one in stored.items()
    }


@pytest.mark.parametrize(
    ("path", "parameters", "named"),
    [
        ("/v1/census", {"limit": 1025}, "limit"),
        ("/v1/census", {"cursor": "here"}, "cursor"),
        ("/v1/census/states", {}, "id"),
        ("/v1/census/states", {"id": [str(number) for number in range(65)]}, "id"),
    ],
)
def test_what_is_out_of_bounds_is_named(
    api: httpx.Client, path: str, parameters: dict[str, Any], named: str
) -> None:
    problem = api.get(path, params=parameters)
    assert (problem.status_code, problem.json()["parameter"]) == (400, named)
