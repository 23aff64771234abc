"""Where graphs are kept, and that half a file is never found there."""

import logging
import os
import time
from pathlib import Path

import pytest

from recommender.encoders.runtimes.export import graph_folder, written


def test_a_folder_that_can_not_be_written_is_told_and_replaced_for_now(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "file").write_text("in the way")
    with graph_folder(tmp_path / "file" / "graphs") as folder:
        (folder / "graph").write_text("works")
    assert not folder.exists()
    (record,) = caplog.records
    assert (record.message, record.levelno) == ("graphs_not_kept", logging.WARNING)


def test_a_file_is_written_once(tmp_path: Path) -> None:
    with graph_folder(tmp_path / "new" / "graphs") as folder:
        path = written(folder / "graph", lambda target: target.write_text("first") and None)
        written(path, lambda target: target.write_text("second") and None)
        assert path.read_text() == "first"


def test_what_fails_while_it_is_written_leaves_nothing(tmp_path: Path) -> None:
    def fail(target: Path) -> None:
        target.write_text("half")
        raise OSError("no space left")

    with pytest.raises(OSError, match="no space"):
        written(tmp_path / "graph", fail)
    assert not list(tmp_path.iterdir())


def test_processes_of_one_number_on_two_machines_write_files_of_their_own(tmp_path: Path) -> None:
    targets: list[Path] = []

    def write(target: Path) -> None:
        targets.append(target)
        target.write_text("ours")
        if len(targets) == 1:  # meanwhile, in another container
            written(tmp_path / "graph", write)

    assert written(tmp_path / "graph", write).read_text() == "ours"
    assert len(set(targets)) == 2
    assert [path.name for path in tmp_path.iterdir()] == ["graph"]


def test_the_bytes_are_on_the_disk_before_the_name_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[tuple[int, bool]] = []

    def fsync(descriptor: int) -> None:
        synced.append((os.fstat(descriptor).st_size, (tmp_path / "graph").exists()))

    monkeypatch.setattr(os, "fsync", fsync)
    written(tmp_path / "graph", lambda target: target.write_text("bytes") and None)
    assert synced == [(5, False)]


def test_what_was_killed_while_it_was_written_goes_away_a_day_later(tmp_path: Path) -> None:
    for name in ("old", "new"):
        (tmp_path / f"partial-{name}-graph").write_text("half")
    (tmp_path / "partial-folder").mkdir()
    (tmp_path / "partial-folder" / "prepared").write_text("half")
    (tmp_path / "kept").write_text("whole")
    long_ago = time.time() - 90_000
    for name in ("partial-old-graph", "partial-folder", "kept"):
        os.utime(tmp_path / name, (long_ago, long_ago))
    written(tmp_path / "graph", lambda target: target.write_text("whole") and None)
    assert {path.name for path in tmp_path.iterdir()} == {"graph", "kept", "partial-new-graph"}
