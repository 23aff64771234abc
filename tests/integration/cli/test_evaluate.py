"""`lookalike evaluate` as it is typed, on a drawn catalog and on labelled photos."""

import json
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from click.testing import Result
from PIL import Image
from torch import Tensor
from typer.testing import CliRunner

from config.settings import PREFIX, Settings
from recommender.catalog import Filter
from recommender.encoders.compact.model import CompactResNet
from recommender.encoders.protocol import Embeddings
from recommender.errors import InvalidQuery
from recommender.index.open import open_engine
from recommender.index.protocol import Write
from recommender.quality.rankings import METRICS
from tests.integration.index.qdrant_servicer import qdrant_server
from tests.photos import FOLDER
from tests.pixels import PixelEncoder
from tests.shop import Shop, draw, filled_shop, served
from worker.cli import app
from worker.cli.query import Api
from worker.evaluation.run import Order, evaluated
from worker.owner import Owner, leave_address, new_token

Typed = Callable[..., Result]
EVERYTHING = Order(filters={}, limit=None, questions=2000, seed=0)


class GreyEncoder(PixelEncoder):
    """Sees no colour."""

    fingerprint = "grey-000000000000"

    def encode_images(self, pixels: Tensor) -> Embeddings:
        return super().encode_images(pixels.float().mean(1, keepdim=True).expand_as(pixels))


@pytest.fixture(scope="module")
def shop(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    """Twelve styles of two variants, of two images each; and a product that has only one image."""
    with filled_shop(s3_endpoint, tmp_path_factory.mktemp("shop")) as opened:
        opened.add("alone", draw("round", "gold", shift=9), category="sale")
        token = new_token()
        with (
            served(opened, extra_keys=(token,)) as client,
            leave_address(opened.settings.data_dir, Owner(str(client.base_url).rstrip("/"), token, "", 1)),
        ):
            yield opened


@pytest.fixture
def typed(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> Typed:
    monkeypatch.setenv(f"{PREFIX}DATA_DIR", str(shop.settings.data_dir))
    monkeypatch.setenv("COLUMNS", "200")

    def run(*arguments: str) -> Result:
        return CliRunner().invoke(app, ["evaluate", *arguments])

    return run


def said(result: Result) -> Any:
    assert result.exit_code == 0, (result.stderr, result.exception)
    return json.loads(result.stdout)


def mean(found: Any, metric: str, which: str = "before") -> float:
    return float(found["scores"][0][which][metric]["mean"])


def test_the_catalogs_own_images_are_the_truth(typed: Typed) -> None:
    found = said(typed("--json"))
    assert (found["products"], found["images"], found["questions"]) == (25, 49, 48)
    assert (found["before"], found["after"]) == ("pixels-000000000000", None)
    names = [scores["name"] for scores in found["scores"]]
    assert names == ["all", "shapes/round", "shapes/square", "shapes/tall"]
    everything = found["scores"][0]["before"]
    assert set(everything) == set(METRICS)
    for interval in everything.values():
        assert interval["low"] <= interval["mean"] <= interval["high"]
        assert (interval["questions"], interval["clusters"]) == (48, 12)
    assert 0.5 < mean(found, "ndcg@10") <= 1
    assert said(typed("--json")) == found, "it is the same every time"


def test_the_catalog_can_be_narrowed_and_sampled(typed: Typed) -> None:
    assert said(typed("--json", "--category", "shapes/tall"))["products"] == 8
    assert said(typed("--json", "--limit", "10"))["products"] == 10
    few = said(typed("--json", "--questions", "6"))
    assert (few["products"], few["questions"]) == (25, 6)
    assert few == said(typed("--json", "--questions", "6", "--seed", "0"))


def test_a_table_has_all_and_each_category(typed: Typed) -> None:
    shown = typed().stdout
    assert all(word in shown for word in ("nDCG@10", "shapes/round", "48 questions about 25 products"))


def judged(path: Path, *lines: str) -> Path:
    path.write_text("\n".join(("query_id,product_id,grade", *lines)))
    return path


def test_judged_pairs_are_the_truth_where_they_are_given(typed: Typed, tmp_path: Path) -> None:
    pairs = judged(
        tmp_path / "pairs.csv",
        "round-red-0,round-red-1,3",
        "round-red-0,round-red-1,1",  # the greatest grade counts
        "round-red-0,tall-blue-0,1",
        "round-red-0,tall-green-0,0",  # says nothing
        "square-gold-1,square-gold-0,",
        "gone,round-red-0,1",
    )
    found = said(typed("--json", "--judged", str(pairs)))
    assert found["questions"] == 2
    assert found["notes"] == ["1 judged pairs are about products that are not evaluated"]
    assert mean(found, "r@1") == 1
    assert 0.9 < mean(found, "ndcg@10") < 1, "the blue one is not among the first"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("a,b\n1,2\n", "line 1: the header must name query_id, product_id"),
        ("query_id,product_id,grade\nx,y,much\n", "line 2: the grade 'much' is not a number"),
        ("query_id,product_id\nx,y\n", "no pair of two products that are evaluated (1 of others)"),
    ],
)
def test_what_is_wrong_with_judged_pairs_is_said(
    typed: Typed, tmp_path: Path, content: str, message: str
) -> None:
    (tmp_path / "pairs.csv").write_text(content)
    assert message in str(typed("--judged", str(tmp_path / "pairs.csv")).exception)


def test_another_encoder_is_compared_on_the_same_images(typed: Typed, shop: Shop) -> None:
    assert typed("--questions", "1").exit_code == 0  # the environment names the shop
    order = replace(EVERYTHING, encoder="grey")
    with evaluated(order, shop.settings, lambda _: GreyEncoder()) as evaluation:
        found = json.loads(json.dumps(evaluation.as_json(5)))
        row = evaluation.pictures((int(evaluation.changed[0]), evaluation.before))
        assert all(tile.picture is not None for tile in (row.asked, *row.answers))
    assert (found["before"], found["after"]) == ("pixels-000000000000", "grey-000000000000")
    assert found["notes"] == []
    change = found["scores"][0]["change"]["ndcg@10"]
    assert change["high"] < 0, "colours tell the styles apart"
    assert change["mean"] == pytest.approx(mean(found, "ndcg@10", "after") - mean(found, "ndcg@10"))
    biggest = found["changes"][0]
    assert biggest["before"]["ndcg@10"] > biggest["after"]["ndcg@10"]
    assert set(biggest["right"]) <= set(biggest["before"]["answers"])
    assert len(found["changes"]) == 5 <= found["changed"]


def test_images_that_are_gone_are_left_out_of_both(typed: Typed, shop: Shop) -> None:
    assert typed("--questions", "1").exit_code == 0
    shop.store.client.delete_object(Bucket=shop.store.bucket, Key="round-red-0/0")
    try:
        with evaluated(
            replace(EVERYTHING, encoder="pixels"), shop.settings, lambda _: PixelEncoder()
        ) as same:
            found = same.as_json(1)
    finally:
        shop.store.put("round-red-0/0", draw("round", "red"))
    assert found["notes"] == ["1 of 49 images are gone or have changed, and are left out"]
    assert found["images"] == 48
    assert found["changed"] == 0, "the same encoder gives the same rows"


@pytest.mark.parametrize("storage", ["float32", "float16", "int8", "turboquant"])
def test_storages_are_compared_by_the_engine(typed: Typed, storage: str) -> None:
    found = said(typed("--json", "--against-storage", storage))
    assert (found["before"], found["after"]) == ("pixels-000000000000, exactly", storage)
    change = found["scores"][0]["change"]["ndcg@10"]["mean"]
    assert abs(change) <= (0 if storage == "float32" else 0.1)


def test_a_sheet_shows_the_changes_before_and_after(typed: Typed, tmp_path: Path) -> None:
    folder = tmp_path / "photos"
    for label in ("chairs", "lamps", "sofas"):
        shutil.copytree(FOLDER / label, folder / label)
    sheet = tmp_path / "sheet.png"
    against = ("--against-encoder", "compact", "--against-weights", str(tmp_path / "weights.pt"))
    write_random_weights(tmp_path / "weights.pt")
    found = said(typed("--photos", str(folder), "--json", "--sheet", str(sheet), *against))
    assert (found["products"], found["questions"]) == (36, 36)
    assert found["truth"] == "any other photo of its label"
    assert [scores["name"] for scores in found["scores"]] == ["all", "chairs", "lamps", "sofas"]
    assert found["scores"][0]["change"]["ndcg@10"]["high"] < 0
    with Image.open(sheet) as image:
        assert image.height > 2 * min(found["changed"], 30) * 150
        assert len(np.unique(np.asarray(image).reshape(-1, 3), axis=0)) > 1000, "there are photos on it"


def write_random_weights(path: Path) -> None:
    with torch.random.fork_rng():
        torch.manual_seed(3)
        torch.save(CompactResNet().state_dict(), path)


def test_the_searches_and_collections_of_a_server_are_compared(
    s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with qdrant_server(tmp_path / "qdrant") as (port, _):
        index = {"url": "http://127.0.0.1:6333", "grpc_port": port}
        with filled_shop(s3_endpoint, tmp_path, index=index) as shop:
            copy_collection(shop, "grey-000000000000")
            monkeypatch.setattr("worker.evaluation.run.open_api", lambda: asking(shop))
            for search in ("exact", "default", "acorn:64"):
                order = replace(EVERYTHING, search=search, filters={"category": ["shapes/tall"]})
                with evaluated(order, shop.settings) as evaluation:
                    assert evaluation.after is not None
                    assert (evaluation.after.name, len(evaluation.changed)) == (search, 0)
            with evaluated(replace(EVERYTHING, collection="grey-000000000000"), shop.settings) as evaluation:
                found = evaluation.as_json(1)
            assert (found["after"], found["changed"]) == ("grey-000000000000", 46)
            assert found["notes"] == ["2 of 48 images are not in grey-000000000000, and are left out"]
            with pytest.raises(InvalidQuery, match=r"there is no nothing; the index has: grey-0"):
                with_collection(shop.settings, "nothing")
            with pytest.raises(InvalidQuery, match="'fast' is not default, exact, graph:EF or acorn:EF"):
                with_search(shop.settings, "fast")


@contextmanager
def asking(shop: Shop) -> Iterator[Api]:
    with served(shop) as client:
        yield Api(client.request)


def with_collection(settings: Settings, name: str) -> None:
    with evaluated(replace(EVERYTHING, collection=name), settings):
        pass


def with_search(settings: Settings, search: str) -> None:
    with evaluated(replace(EVERYTHING, search=search), settings):
        pass


def copy_collection(shop: Shop, fingerprint: str) -> None:
    """The shop's products but one, each with rows that are noise."""
    engine = open_engine(shop.settings)
    dimension = PixelEncoder.spec.dimension
    engine.create(fingerprint, dimension)
    rng = np.random.default_rng(0)
    writes = []
    for stored in shop.index.scroll(Filter(), vectors=True).products:
        if stored.id != "round-red-0":
            rows = rng.normal(size=(len(stored.images), dimension)).astype(np.float32)
            rows /= np.linalg.norm(rows, axis=1, keepdims=True)
            writes.append(Write(stored.id, None, stored.state, stored.images, rows))
    assert not engine.open(fingerprint).write(writes)
    engine.close()
