"""Choosing between runtimes, some of which lie or fail."""

import json
import logging
import time
from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from config.settings import ConfigurationError
from recommender.encoders.protocol import Embeddings
from recommender.encoders.runtimes.choose import Candidate, Probe, choose
from recommender.encoders.runtimes.runtime import Runtime
from recommender.errors import RuntimeUnavailable

PIXELS = torch.randint(0, 256, (4, 3, 2, 2), dtype=torch.uint8, generator=torch.Generator().manual_seed(1))


class Flat:
    """Its rows are the pixels themselves, plus `error` in the first of them."""

    def __init__(self, name: str, *, error: float = 0, pause_s: float = 0) -> None:
        self.name = name
        self._error = error
        self._pause_s = pause_s

    def run(self, pixels: Tensor) -> Embeddings:
        time.sleep(self._pause_s)
        rows: Embeddings = pixels.numpy().reshape(len(pixels), -1).astype(np.float32)
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        rows[:, 0] += self._error
        rows /= np.linalg.norm(rows, axis=1, keepdims=True)
        return rows


PROBE = Probe(PIXELS, Flat("reference").run(PIXELS), 0.9999)


def offered(*runtimes: Runtime) -> list[Candidate]:
    return [Candidate(runtime.name, lambda runtime=runtime: runtime) for runtime in runtimes]


def failing(name: str, error: Exception) -> Candidate:
    def build() -> Runtime:
        raise error

    return Candidate(name, build)


@pytest.fixture
def memory(tmp_path: Path) -> Path:
    return tmp_path / "choice.json"


def test_the_fastest_is_chosen_and_remembered(memory: Path) -> None:
    slow, fast = Flat("slow", pause_s=0.05), Flat("fast")
    assert choose(offered(slow, fast), PROBE, 8, memory) is fast
    assert json.loads(memory.read_text())["runtime"] == "fast"
    not_built = failing("slow", AssertionError("it is built again"))
    assert choose([not_built, *offered(fast)], PROBE, 8, memory) is fast


@pytest.mark.parametrize("error", [0.1, float("nan")])
def test_one_that_answers_something_else_is_left_out(
    error: float, memory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    fast, slow = Flat("fast", error=error), Flat("slow", pause_s=0.01)
    assert choose(offered(fast, slow), PROBE, 8, memory) is slow
    (left_out,) = [record for record in caplog.records if record.message == "runtime_left_out"]
    assert left_out.levelno == logging.WARNING
    assert vars(left_out)["runtime"] == "fast"
    assert "differ from the reference's" in vars(left_out)["reason"]


def test_one_that_was_remembered_and_fails_now_is_left_out(memory: Path) -> None:
    memory.write_text(json.dumps({"runtime": "gone"}))
    here = Flat("here")
    assert choose([failing("gone", ImportError("no such library")), *offered(here)], PROBE, 8, memory) is here
    assert json.loads(memory.read_text())["runtime"] == "here"


@pytest.mark.parametrize("content", [b"", b'{"runtime": "o', b"\xff\xfe", b"[]", b"{}", b"null"])
def test_a_memory_that_is_garbled_is_none(
    content: bytes, memory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    memory.write_bytes(content)
    fast = Flat("fast")
    assert choose(offered(Flat("slow", pause_s=0.05), fast), PROBE, 8, memory) is fast
    assert [record.message for record in caplog.records] == ["runtime_not_recalled"]
    assert json.loads(memory.read_text())["runtime"] == "fast"


def test_a_memory_that_can_be_neither_read_nor_written_ends_nothing(
    memory: Path, caplog: pytest.LogCaptureFixture
) -> None:
    memory.mkdir()
    fast = Flat("fast")
    assert choose(offered(Flat("slow", pause_s=0.05), fast), PROBE, 8, memory) is fast
    assert [record.message for record in caplog.records] == ["runtime_not_recalled", "runtime_not_remembered"]


def test_without_any_the_reasons_are_told(memory: Path) -> None:
    candidates = [failing("one", ImportError("no such library")), *offered(Flat("other", error=0.1))]
    with pytest.raises(
        RuntimeUnavailable, match=r"(?s)one: ImportError: no such library; other: its rows.*RUNTIME=torch"
    ):
        choose(candidates, PROBE, 8, memory)


def test_an_error_that_no_other_runtime_mends_is_let_through(memory: Path) -> None:
    candidates = [failing("one", ConfigurationError("half: this processor")), *offered(Flat("other"))]
    with pytest.raises(ConfigurationError, match="this processor"):
        choose(candidates, PROBE, 8, memory)
