"""Ids from a file."""

import io
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest
import typer

from recommender import events
from worker.cli.id_file import read_ids


def test_an_id_a_line_each_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = "\ufeffb\r\n\n  a b \nb\n".encode()
    (tmp_path / "ids").write_bytes(data)
    assert read_ids(str(tmp_path / "ids")) == ["b", "a b"]
    monkeypatch.setattr(sys, "stdin", SimpleNamespace(buffer=io.BytesIO(data)))
    assert read_ids("-") == ["b", "a b"]


@pytest.mark.parametrize(
    ("data", "said"),
    [
        (b"", "holds no product id"),
        (b"a\n" + b"x" * 129, "line 2 is no product id"),
        (b"a\n\nb\x00c", "line 3 is no product id"),
        (b"a\n\xff\n", "line 2 is not UTF-8"),
        (b"a\nb\nc", "holds 3 ids; a job takes 2: split the file"),
    ],
)
def test_a_bad_file_is_refused(
    data: bytes, said: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(events, "MAX_SCOPE_IDS", 2)
    path = tmp_path / "ids"
    path.write_bytes(data)
    with pytest.raises(typer.BadParameter, match=said):
        read_ids(str(path))


def test_a_file_that_is_not_there_is_named() -> None:
    with pytest.raises(typer.BadParameter, match="/no/such/file can't be read: No such file"):
        read_ids("/no/such/file")
