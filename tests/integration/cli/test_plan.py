"""`lookalike plan` as it is typed."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from click.testing import Result
from typer.testing import CliRunner

from config.settings import PREFIX, ConfigurationError
from tests.pixels import PixelEncoder
from tests.shop import Shop, draw, filled_shop, served
from worker.bench import run
from worker.cli import app
from worker.owner import Owner, leave_address, new_token
from worker.planning import rates

QUICK = ("--seconds", "0.1", "--json")


@pytest.fixture(autouse=True)
def _pixels(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for module in (rates, run):
        monkeypatch.setattr(module, "load_encoder", lambda _: PixelEncoder())
    monkeypatch.setenv("COLUMNS", "200")
    monkeypatch.setenv(f"{PREFIX}DATA_DIR", str(tmp_path))


@pytest.fixture
def shop(s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    """Of more than a hundred products, owned by a process that serves it."""
    token = new_token()
    with filled_shop(s3_endpoint, tmp_path) as opened, served(opened, extra_keys=(token,)) as client:
        colours = [f"#{n:02x}{255 - n:02x}7f" for n in range(0, 240, 2)]
        opened.add_all([(f"n-{colour}", [draw("tall", colour)], {}) for colour in colours])
        monkeypatch.setenv(f"{PREFIX}S3__ENDPOINT_URL", opened.store.endpoint_url)
        monkeypatch.setenv(f"{PREFIX}S3__BUCKETS", json.dumps([opened.store.bucket]))
        with leave_address(tmp_path, Owner(str(client.base_url).rstrip("/"), token, "", 1)):
            yield opened


def planned(*arguments: str) -> Result:
    return CliRunner().invoke(app, ["plan", *arguments])


def said(result: Result) -> Any:
    assert result.exit_code == 0, (result.stderr, result.exception)
    return json.loads(result.stdout)


@pytest.mark.usefixtures("shop")
def test_with_an_index_all_is_measured_on_its_own_rows_and_images() -> None:
    plan = said(planned("--products", "1000", "--images", "2500", *QUICK))
    assert plan["catalog"]["dimension"] == PixelEncoder.spec.dimension
    assert plan["catalog"]["payload_how"].endswith("products of the index")
    rate = plan["rates"]
    assert rate["whole_images_per_s"] > 0
    assert rate["bound_by"] in {"fetch", "decode", "device", "index"}
    assert plan["hours"] == pytest.approx(2500 / rate["whole_images_per_s"] / 3600)
    recall = {(each["storage"], each["rescored"]): each["recall"] for each in plan["recall"]["measured"]}
    assert len(recall) == 6
    assert recall["float32", None] == 1.0
    assert PixelEncoder.fingerprint in plan["recall"]["how"]
    kept = {each["storage"]: each for each in plan["storages"]}
    assert kept["float16"]["disk_bytes"]["rows"] < kept["float32"]["disk_bytes"]["rows"]


def test_without_an_index_it_says_so_and_makes_none(tmp_path: Path) -> None:
    plan = said(planned("--products", "1000", "--images", "1000", *QUICK))
    assert plan["recall"]["measured"] == []
    assert "there is no index of the catalog" in plan["recall"]["how"]
    assert plan["catalog"]["payload_how"] == "of an example"
    assert plan["rates"]["whole_images_per_s"] is None
    assert "--images-from" in plan["rates"]["how"]
    assert not (tmp_path / "index").exists()


def test_a_folder_of_images_is_measured_with_and_the_table_has_every_storage(tmp_path: Path) -> None:
    (tmp_path / "photos").mkdir()
    for shift in range(8):
        (tmp_path / "photos" / f"{shift}.jpg").write_bytes(draw("round", "red", shift=shift))
    result = planned(
        *("--products", "10", "--images", "20", "--seconds", "0.1", "--sample", "0"),
        *("--images-from", str(tmp_path / "photos")),
    )
    assert result.exit_code == 0, (result.stderr, result.exception)
    for text in ("float32, configured", "float16", "int8", "turboquant", "bound by: ", "--sample 0"):
        assert text in result.stdout
    assert "at least" not in result.stdout


def test_fewer_images_than_products_are_refused() -> None:
    refused = planned("--products", "10", "--images", "3")
    assert isinstance(refused.exception, ConfigurationError)
    assert "10 products have 10 to 160" in str(refused.exception)
