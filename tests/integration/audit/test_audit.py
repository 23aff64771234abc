"""`lookalike audit` as it is typed: nothing is found where all agrees, and each kind where it was made."""

import time
from typing import Any

import pytest

from recommender.index.protocol import IndexedImage
from tests.integration.audit.scene import NONE, Scene, counts, finding, ids, row, state_of, typed

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
    scene.lines = [str(document).replace("'", '"'), "no json"]
    report = scene.audit()
    assert counts(report) == {"refused": 2}
    assert ids(report, "refused") == ["", "sku-0"]
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
