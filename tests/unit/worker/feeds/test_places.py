"""Where files may lie, and folders of parts."""

import io
import os
import sys
from pathlib import Path
from typing import Any

import pytest

from recommender.errors import FeedChanged, FeedError
from worker.feeds import store
from worker.feeds.open import open_feed, open_path
from worker.feeds.record import Place

LINE = b'{"id": "%s"}\n'


def lay(folder: Path, *names: str) -> None:
    for name in names:
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(LINE % name.encode())


@pytest.mark.parametrize(
    ("uri", "complaint"),
    [
        ("file:///etc/passwd", "no prefix"),
        ("file://{root}/../../../../../etc/passwd", "LOCAL_ROOT"),
        ("file://{root}/missing.jsonl", "No such file"),
        ("file://{root}/missing/", "not a folder"),
        ("file://{root}/empty/", "no part of a feed"),
        ("file://{root}/empty", "ends in /"),
        ("file://host{root}/f", "names no host"),
        ("ftp://x/a", "s3://, https:// or file://"),
        ("s3://shop/feed", "no prefix"),
        ("https://shop.example/feed", "no prefix"),
    ],
)
def test_what_is_not_allowed_or_not_there_is_said(folder: Path, read: Any, uri: str, complaint: str) -> None:
    (folder / "empty").mkdir()
    with pytest.raises(FeedError, match=complaint):
        read(uri.format(root=folder))


def test_a_path_is_judged_by_where_it_leads(make_settings: Any, tmp_path: Path) -> None:
    feeds = tmp_path / "feeds"
    lay(feeds, "good.jsonl")
    lay(tmp_path, "secret.jsonl")
    settings = make_settings(feed={"allowed": (f"file://{feeds}/",)}, images={"local_root": tmp_path})

    def ids(uri: str) -> list[str | None]:
        with open_feed(uri, settings, None) as feed:  # type: ignore[arg-type]
            return [record.id for record in feed]

    assert ids(f"file://{feeds}/../feeds/good.jsonl") == ["good.jsonl"]
    (feeds / "link.jsonl").symlink_to(tmp_path / "secret.jsonl")
    for way_out in ("../secret.jsonl", "%2e%2e/secret.jsonl", "link.jsonl", ""):
        with pytest.raises(FeedError, match="no prefix"):
            ids(f"file://{feeds}/{way_out}")


def test_parts_are_read_in_the_order_of_their_names(folder: Path, read: Any) -> None:
    names = ["B.jsonl", "a-2.jsonl", "a/1.jsonl", "a/b/c.jsonl", "é.jsonl"]  # by bytes, as S3 has it
    lay(folder, *names, "_SUCCESS", ".a.crc", "a/_temporary/1.jsonl")
    records = read("")
    assert [record.id for record in records] == names
    assert [record.after.part for record in records] == names
    assert records[2].uri == f"file://{folder}/a/1.jsonl"


@pytest.mark.parametrize("change", ["write", "add", "remove"])
def test_a_part_that_changes_begins_the_whole_feed_again(
    folder: Path, settings_of: Any, read: Any, change: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Products may have moved from a part that is yet to be read to one that was."""
    lay(folder, "1.jsonl", "2.jsonl")
    first, second = read("")
    assert [record.id for record in read("", first.after)] == ["2.jsonl"]
    if change == "write":
        (folder / "1.jsonl").write_bytes(LINE % b"other" * 2)
    elif change == "add":
        lay(folder, "3.jsonl")
    else:
        (folder / "2.jsonl").unlink()
    for place in (first.after, second.after):
        with open_feed(f"file://{folder}/", settings_of(), None, place) as feed:  # type: ignore[arg-type]
            assert feed.start == Place(feed.start.etag)
            assert next(iter(feed)).number == 1
    assert [record.message for record in caplog.records] == ["feed_changed"] * 2


@pytest.mark.parametrize("change", ["write", "remove"])
def test_a_part_that_changes_before_its_turn_is_no_end(folder: Path, settings_of: Any, change: str) -> None:
    lay(folder, "1.jsonl", "2.jsonl")
    with open_feed(f"file://{folder}/", settings_of(), None) as feed:  # type: ignore[arg-type]
        records = iter(feed)
        assert next(records).id == "1.jsonl"
        if change == "write":
            (folder / "2.jsonl").write_bytes(b"")
        else:
            (folder / "2.jsonl").unlink()
        with pytest.raises(FeedChanged, match=r"2\.jsonl: it "):
            next(records)


def test_a_feed_says_how_much_of_it_is_read(folder: Path, settings_of: Any) -> None:
    lay(folder, "1.jsonl", "2.jsonl")
    for number in (1, 2):
        os.utime(folder / f"{number}.jsonl", ns=(0, number * 10**9))
    size = len(LINE % b"1.jsonl")
    with open_feed(f"file://{folder}/", settings_of(), None) as feed:  # type: ignore[arg-type]
        assert (feed.size_bytes, feed.read_bytes, feed.modified_ms) == (2 * size, 0, 2000)
        records = iter(feed)
        place = next(records).after
        assert feed.read_bytes == size
        assert [record.document["version"] for record in records] == [2000]  # type: ignore[index]
        assert feed.read_bytes == 2 * size
    with open_feed(f"file://{folder}/", settings_of(), None, place) as feed:  # type: ignore[arg-type]
        next(iter(feed))
        assert feed.read_bytes == 2 * size


def test_parts_are_bounded_in_number(folder: Path, read: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(store, "MAX_PARTS", 1)
    lay(folder, "1.jsonl", "2.jsonl")
    with pytest.raises(FeedError, match="2 parts, more than 1"):
        read("")


def test_a_part_that_can_not_be_read_is_not_passed_over(folder: Path, read: Any) -> None:
    lay(folder, "1.jsonl")
    (folder / "2.jsonl").symlink_to(folder / "nowhere")
    with pytest.raises(FeedError, match="No such file"):
        read("")


def test_a_feed_without_products_is_taken_for_one_that_was_lost(folder: Path, read: Any) -> None:
    for name in ("1.jsonl", "2.jsonl"):
        (folder / name).write_bytes(b"")
    with pytest.raises(FeedError, match="it is empty"):
        read("")


def test_a_user_s_own_path_may_lie_anywhere(tmp_path: Path, make_settings: Any) -> None:
    lay(tmp_path / "there", "1.jsonl", "2.jsonl")
    feed_settings = make_settings().feed
    for name, ids in (("there", ["1.jsonl", "2.jsonl"]), ("there/2.jsonl", ["2.jsonl"])):
        with open_path(str(tmp_path / name), feed_settings) as feed:
            assert [record.id for record in feed] == ids
    with (
        pytest.raises(FeedError, match=r"absent\.jsonl: No such file"),
        open_path("absent.jsonl", feed_settings),
    ):
        pass


def test_what_is_piped_in_is_read_as_it_arrives(make_settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    reading, writing = os.pipe()
    with open(reading, encoding="utf-8") as stdin, open(writing, "wb", buffering=0) as producer:  # noqa: PTH123
        monkeypatch.setattr(sys, "stdin", stdin)
        producer.write(LINE % b"first")
        with open_path("-", make_settings().feed) as feed:
            records = iter(feed)
            assert next(records).id == "first"  # while nothing says that it has ended
            producer.write(LINE % b"second")
            producer.close()
            assert [record.id for record in records] == ["second"]


def test_parquet_can_not_be_piped(make_settings: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(b"PAR1")))
    settings = make_settings(feed={"format": "parquet"}).feed
    with open_path("-", settings) as feed, pytest.raises(FeedError, match="doesn't say how long it is"):
        list(feed)
