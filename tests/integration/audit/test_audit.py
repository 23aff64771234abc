"""`lookalike audit` as it is typed: nothing is found where all agrees, and each kind where it was made."""

import json
import time
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from recommender import resources
from recommender.events import digest, parse_product_event
from recommender.index.protocol import IndexedImage
from recommender.merge import UNKNOWN, merge
from recommender.resources import open_resources
from tests.integration.audit.scene import NONE, Scene, counts, finding, ids, row, state_of, typed
from tests.integration.index.qdrant_servicer import qdrant_server
from tests.pixels import PixelEncoder
from tests.shop import filled_shop

DAY_S = 86400


def test_nothing_is_found_where_index_feed_and_bucket_agree(scene: Scene) -> None:
    scene.write("gone", state_of("delete", {"id": "gone", "version": 9}), [], NONE)
    report = scene.audit("--looks")
    assert report["clean"]
    assert counts(report) == {}
    assert report["not_looked_at"] == []
    compared = report["compared"]
    assert (compared["products"], compared["pictures"], compared["tombstones"]) == (6, 6, 1)
    assert compared["feed"]["records"] == 6
    assert list(compared["buckets"].values()) == [6]
    assert "nothing was found" in typed("--feed", scene.feed).stdout


def test_the_examples_of_the_report_are_as_many_as_asked_for(scene: Scene) -> None:
    for product in list(scene.documents)[:4]:
        scene.lose(product)
    report = scene.audit("--examples", "2")
    assert counts(report) == {"missing": 4}
    assert len(finding(report, "missing")["examples"]) == 2


def test_what_the_index_lacks_is_missing(scene: Scene) -> None:
    scene.lose("sku-0")
    scene.lose("sku-1")
    stub = state_of("patch", {"id": "sku-1", "version": 4, "price": 5})
    scene.write("sku-1", stub, [], NONE)
    scene.write("sku-2", state_of("delete", {"id": "sku-2", "version": 2}), [], NONE)
    report = scene.audit()
    assert counts(report) == {"missing": 3}
    assert ids(report, "missing") == ["sku-0", "sku-1", "sku-2"]
    assert {example["title"] for example in finding(report, "missing")["examples"]} >= {"Boot 0"}


def test_what_the_index_knows_in_an_older_state_is_stale(scene: Scene) -> None:
    scene.documents["sku-0"] |= {"version": 4, "price": 10.0}
    scene.documents["sku-1"] |= {"version": 4}  # counted up, and says the same
    scene.documents["sku-2"] |= {"version": 2, "price": 7.0}  # the index is newer
    report = scene.audit()
    assert counts(report) == {"stale": 1}
    assert ids(report, "stale") == ["sku-0"]
    assert report["compared"]["feed"]["index_is_newer"] == 1


def test_a_lost_upsert_is_found_behind_a_later_patch_and_a_patch_alone_is_none(scene: Scene) -> None:
    for product in ("sku-0", "sku-1"):
        stored = scene.shop.index.read([product])[product]
        patched = state_of("patch", {"id": product, "version": 9, "price": 5}, stored.state)
        scene.write(product, patched, list(stored.images), row(1))
    scene.documents["sku-0"] |= {"version": 5, "title": "Renamed"}
    scene.documents["sku-1"] |= {"version": 5}
    report = scene.audit()
    assert counts(report) == {"stale": 1}
    assert ids(report, "stale") == ["sku-0"]


def test_a_document_that_loses_at_its_own_version_is_no_finding(scene: Scene) -> None:
    """A repair could not change it either, so that it would be found again and again."""
    said = scene.documents["sku-0"]
    titles = ["Boot 0", *(f"Another boot {number}" for number in range(8))]
    events = [parse_product_event("products.upsert", said | {"title": title}) for title in titles]
    winner = max(events, key=digest)
    found = [IndexedImage(said["images"][0], None, 0)]
    scene.write("sku-0", merge(UNKNOWN, winner), found, row(0))
    loser = next(title for title, event in zip(titles, events, strict=True) if event is not winner)
    scene.documents["sku-0"] = said | {"title": loser}
    report = scene.audit()
    assert counts(report) == {}
    assert report["compared"]["feed"]["index_is_newer"] == 1


def test_what_was_deleted_before_the_feed_was_made_is_withheld_and_later_is_not(scene: Scene) -> None:
    for product, at in (("sku-0", time.time() - 3600), ("sku-1", time.time() + 3600)):
        deleted = state_of("delete", {"id": product, "version": 3})
        scene.write(product, deleted, [], NONE, at=at)
    report = scene.audit()
    assert counts(report) == {"withheld": 1}
    assert ids(report, "withheld") == ["sku-0"]
    assert report["compared"]["feed"]["index_is_newer"] == 1


def test_what_the_feed_lacks_is_orphaned_unless_it_is_newer(scene: Scene) -> None:
    del scene.documents["sku-0"]
    image = scene.add("new", seed=20)
    state = state_of("upsert", scene.documents.pop("new"))
    scene.write("new", state, [image], row(20), at=time.time() + 3600)
    report = scene.audit()
    assert counts(report) == {"orphaned": 1}
    assert ids(report, "orphaned") == ["sku-0"]
    assert report["compared"]["feed"]["not_in_it_yet"] == 1


def test_bad_records_are_told_of_and_what_they_name_is_not_orphaned(scene: Scene) -> None:
    document = scene.documents.pop("sku-0")
    del document["category"]
    scene.lines = [json.dumps(document), "no json", r'{"id": "\ud800\u001b[2J"}']
    report = scene.audit()
    assert counts(report) == {"refused": 3}
    assert ids(report, "refused") == ["", "?\x1b[2J", "sku-0"]
    assert "\x1b" not in typed("--feed", scene.feed).stdout
    assert any(reason.startswith("category") for reason in finding(report, "refused")["reasons"])


def test_ids_of_which_only_patches_are_known_are_unfinished(scene: Scene) -> None:
    scene.write("half", state_of("patch", {"id": "half", "version": 4, "price": 5}), [], NONE)
    assert counts(scene.audit()) == {"unfinished": 1}
    assert counts(scene.audit(feed=False)) == {"unfinished": 1}


def test_rows_of_another_encoder_are_found(scene: Scene) -> None:
    index: Any = scene.shop.index
    stored = index.read(["sku-0"])["sku-0"]
    own, index.fingerprint = index.fingerprint, "other-000000000000"
    scene.write("sku-0", stored.state, list(stored.images), row(0))
    index.fingerprint = own
    report = scene.audit()
    assert counts(report) == {"wrong_encoder": 1}
    assert ids(report, "wrong_encoder") == ["sku-0"]


def test_products_without_a_picture_are_invisible_and_why(scene: Scene) -> None:
    uri = scene.documents["sku-0"]["images"][0]
    state = state_of("upsert", scene.documents["sku-0"])
    scene.write("sku-0", state, [IndexedImage(uri, error=f"{uri}: truncated")], NONE)
    report = scene.audit()
    assert counts(report) == {"invisible": 1}
    found = finding(report, "invisible")
    assert found["reasons"] == {"truncated": 1}
    assert found["examples"][0] | {"title": "Boot 0", "image": uri} == found["examples"][0]


def test_pictures_that_could_not_be_read_are_found_beside_others(scene: Scene) -> None:
    good, bad = scene.picture("good.jpg"), scene.picture("bad.jpg")
    scene.documents["two"] = scene.document("two", good[0], bad[0])
    images = [IndexedImage(*good, 0), IndexedImage(bad[0], error=f"{bad[0]}: larger than 4 bytes")]
    scene.write("two", state_of("upsert", scene.documents["two"]), images, row(30))
    report = scene.audit()
    assert counts(report) == {"unread": 1}
    assert finding(report, "unread")["examples"][0]["image"] == bad[0]
    assert finding(report, "unread")["reasons"] == {"larger than 4 bytes": 1}


def test_pictures_that_are_gone_or_were_replaced_are_found_by_listing(scene: Scene) -> None:
    store = scene.shop.store
    store.client.delete_object(Bucket=store.bucket, Key="images/sku-0.jpg")
    scene.picture("sku-1.jpg", b"another picture")
    report = scene.audit()
    assert counts(report) == {"vanished": 1, "replaced": 1}
    assert ids(report, "vanished") == ["sku-0"]
    assert ids(report, "replaced") == ["sku-1"]


def test_a_bucket_that_can_not_be_listed_and_pictures_elsewhere_are_said(scene: Scene) -> None:
    scene.add("far", seed=40, image=("s3://elsewhere/far.jpg", '"tag"'))
    scene.add("web", seed=41, image=("https://shop.example/web.jpg", '"tag"'))
    report = scene.audit()
    assert counts(report) == {}
    left = " ".join(report["not_looked_at"])
    assert "s3://elsewhere/" in left
    assert "LOOKALIKE_S3__BUCKETS" in left
    assert "whether 1 pictures that are in no bucket" in left


@pytest.mark.parametrize("by", ["uri", "etag"])
def test_a_picture_that_many_families_share_is_found(scene: Scene, by: str) -> None:
    for number in range(4):
        image = scene.picture("chart.jpg" if by == "uri" else f"chart-{number}.jpg", b"the same chart")
        scene.add(f"chart-{number}", seed=50 + number, image=image)
        variant = scene.picture("variants.jpg")
        scene.add(f"variant-{number}", seed=60 + number, image=variant, group_id="one style")
    assert counts(scene.audit("--shared-by", "4")) == {}
    report = scene.audit("--shared-by", "3")
    assert counts(report) == {"shared": 1}
    (example,) = finding(report, "shared")["examples"]
    assert sorted([example["id"], *example["also"]]) == [f"chart-{number}" for number in range(4)]
    assert example["detail"] == "on 4 products"


def test_a_picture_in_several_files_is_found_by_its_looks(scene: Scene) -> None:
    for number in range(4):
        scene.add(f"chart-{number}", seed=50)
    assert counts(scene.audit("--shared-by", "3")) == {}
    report = scene.audit("--shared-by", "3", "--looks")
    assert counts(report) == {"alike": 1}
    (example,) = finding(report, "alike")["examples"]
    assert sorted([example["id"], *example["also"]]) == [f"chart-{number}" for number in range(4)]


def test_tombstones_past_their_time_are_found(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    for product, days in (("old", 31), ("fresh", 29)):
        deleted = state_of("delete", {"id": product, "version": 3})
        scene.write(product, deleted, [], NONE, at=time.time() - days * DAY_S)
    report = scene.audit()
    assert counts(report) == {"overdue": 1}
    assert ids(report, "overdue") == ["old"]
    monkeypatch.setenv("LOOKALIKE_INDEX__TOMBSTONE_DAYS", "40")
    assert scene.audit()["clean"]


def test_without_a_feed_it_says_so(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.lose("sku-0")
    report = scene.audit(feed=False)
    assert counts(report) == {}
    assert any("--feed URI" in left for left in report["not_looked_at"])
    assert "missing" not in {found["kind"] for found in report["findings"]}
    scene.publish_feed()
    monkeypatch.setenv("LOOKALIKE_FEED__SCHEDULED", scene.feed)
    assert counts(scene.audit(feed=False)) == {"missing": 1}


@pytest.mark.parametrize("engine", ["embedded", "server"])
def test_where_nobody_owns_the_index_the_command_asks_it_itself(
    s3_endpoint: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, engine: str
) -> None:
    monkeypatch.setattr(resources, "open_resources", partial(open_resources, load=lambda _: PixelEncoder()))
    with qdrant_server(tmp_path / "qdrant") as (port, _):
        index: dict[str, Any] = {"url": f"edge:{tmp_path / 'index'}"}
        if engine == "server":
            index = {"url": "http://127.0.0.1:6333", "grpc_port": port}
        with filled_shop(s3_endpoint, tmp_path, index=index) as shop:
            bucket = shop.store.bucket
        s3 = {"S3__ENDPOINT_URL": s3_endpoint, "S3__BUCKETS": json.dumps([bucket])}
        asked = {f"INDEX__{name}": value for name, value in index.items()}
        for name, value in {"DATA_DIR": tmp_path, **s3, **asked}.items():
            monkeypatch.setenv(f"LOOKALIKE_{name}".upper(), str(value))
        report = json.loads(typed("--looks", "--shared-by", "1", "--json").stdout)
    assert report["clean"], counts(report)
    assert (report["compared"]["products"], report["compared"]["pictures"]) == (24, 48)
    assert report["compared"]["buckets"] == {f"s3://{bucket}/": 48}


def test_a_feed_that_is_not_allowed_is_one_clear_error(scene: Scene) -> None:
    scene.publish_feed()
    result = typed("--feed", scene.feed.replace("feeds", "other"))
    assert result.exit_code == 1
    assert "LOOKALIKE_FEED__ALLOWED" in str(result.exception)


def test_an_index_that_holds_nothing_is_audited_too(scene: Scene) -> None:
    for product in list(scene.documents):
        scene.lose(product)
    report = scene.audit("--looks")
    assert counts(report) == {"missing": 6}
    assert report["compared"]["products"] == 0


def test_the_table_says_what_was_found_and_what_to_do(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "200")
    scene.lose("sku-0")
    scene.publish_feed()
    said = typed("--feed", scene.feed).stdout
    assert "Products that the feed has and the index has not" in said
    assert "sku-0" in said
    assert "A repair publishes them" in said
