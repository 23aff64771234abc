"""Where graphs are kept, and that half a file is never found there."""

import logging
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
