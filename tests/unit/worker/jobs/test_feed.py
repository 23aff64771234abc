from pathlib import Path
from typing import Any

import pytest

from recommender.errors import FeedError
from worker.jobs import feed
from worker.jobs.feed import Line, Place, open_feed

START = Place()


@pytest.fixture
def settings(make_settings: Any, tmp_path: Path) -> Any:
    return make_settings(
        feed={"allowed": (f"file://{tmp_path}/", "ftp://x/")}, images={"local_root": tmp_path}
    )


def read(uri: str, settings: Any, place: Place = START) -> list[Line]:
    with open_feed(uri, settings, None, place) as found:  # type: ignore[arg-type]  # for s3:// only
        return list(found)


def lines(uri: str, settings: Any) -> list[bytes]:
    return [line.text for line in read(uri, settings)]


def test_a_file_is_read_line_by_line_across_chunks(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "CHUNK_BYTES", 3)
    path = tmp_path / "a b.jsonl"
    path.write_bytes(b"first\n\nsecond\nlast")
    assert lines(path.as_uri().replace("%20", " "), settings) == [b"first", b"", b"second", b"last"]
    path.write_bytes(b"one\n")
    assert lines(f"file://{tmp_path}/a%20b.jsonl", settings) == [b"one"]


@pytest.mark.parametrize(
    ("uri", "complaint"),
    [
        ("file:///etc/passwd", "no prefix"),
        ("file://{root}/../../../../../etc/passwd", "LOCAL_ROOT"),
        ("file://{root}/missing.jsonl", "No such file"),
        ("ftp://x/a", "s3:// or file://"),
        ("s3://shop/feed", "no prefix"),
    ],
)
def test_what_is_not_allowed_or_not_there_is_said(
    settings: Any, tmp_path: Path, uri: str, complaint: str
) -> None:
    with pytest.raises(FeedError, match=complaint):
        lines(uri.format(root=tmp_path), settings)


def test_a_path_is_judged_by_where_it_leads(make_settings: Any, tmp_path: Path) -> None:
    feeds = tmp_path / "feeds"
    feeds.mkdir()
    (feeds / "good.jsonl").write_bytes(b"good")
    (tmp_path / "secret.jsonl").write_bytes(b"secret")
    (feeds / "link.jsonl").symlink_to(tmp_path / "secret.jsonl")
    allowed = (f"file://{feeds}/", f"file://host{feeds}/")
    settings = make_settings(feed={"allowed": allowed}, images={"local_root": tmp_path})
    assert lines(f"file://{feeds}/../feeds/good.jsonl", settings) == [b"good"]
    for way_out in ("../secret.jsonl", "%2e%2e/secret.jsonl", "link.jsonl"):
        with pytest.raises(FeedError, match="no prefix"):
            lines(f"file://{feeds}/{way_out}", settings)
    with pytest.raises(FeedError, match="names no host"):
        lines(f"file://host{feeds}/good.jsonl", settings)


def test_a_line_without_end_is_refused(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed, "MAX_LINE_BYTES", 10)
    monkeypatch.setattr(feed, "CHUNK_BYTES", 4)
    (tmp_path / "f").write_bytes(b"ok\n" + b"x" * 20)
    with pytest.raises(FeedError, match="longer than 10 bytes"):
        lines(f"file://{tmp_path}/f", settings)


def test_it_goes_on_after_any_line(
    settings: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(feed, "CHUNK_BYTES", 5)
    path = tmp_path / "f"
    path.write_bytes(b"first\n\nthird\nlast")
    whole = read(path.as_uri(), settings)
    assert [line.number for line in whole] == [1, 2, 3, 4]
    for done, line in enumerate(whole, start=1):
        assert read(path.as_uri(), settings, line.after) == whole[done:]
    assert not caplog.records


def test_a_feed_that_has_changed_is_read_from_its_start(
    settings: Any, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    path = tmp_path / "f"
    path.write_bytes(b"one\ntwo\n")
    place = read(path.as_uri(), settings)[0].after
    with path.open("ab") as file:
        file.write(b"three\n")
    assert [line.number for line in read(path.as_uri(), settings, place)] == [1, 2, 3]
    (record,) = caplog.records
    assert record.message == "feed_changed"
