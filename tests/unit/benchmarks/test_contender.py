"""A side of a comparison, as its parent meets it."""

from pathlib import Path

import pytest

from tests.benchmarks.contender import Contender, ContenderFailed


def test_one_that_ends_says_why(tmp_path: Path) -> None:
    log = tmp_path / "log"
    with (
        Contender("no_such_module", {}, log) as contender,
        pytest.raises(ContenderFailed) as failed,
    ):
        contender.ask(seconds=1)
    assert failed.value.last_line.startswith("ModuleNotFoundError: No module named")
    assert str(log) not in failed.value.last_line


def test_one_answers_as_long_as_it_is_asked(tmp_path: Path) -> None:
    options = {"encoder": "compact", "endpoint_url": "http://127.0.0.1:1", "keys": {"400": ["a.jpg"]}}
    with Contender("decode", options, tmp_path / "log") as contender:
        for _ in range(2):
            names = contender.ask(names=True)
            assert {"ours", "pillow"} <= set(names["decoders"])
            assert "ours" in names["fetches"]
