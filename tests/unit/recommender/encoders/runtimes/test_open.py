"""The first start of an encoder measures; the next finds what it needs."""

import logging
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from torch import Tensor

from config.settings import EncoderSettings
from recommender.encoders.load import load_encoder
from recommender.encoders.local_encoder import LocalEncoder
from recommender.encoders.runtimes import export
from recommender.encoders.runtimes import open as open_module
from recommender.errors import RuntimeUnavailable


@pytest.fixture
def kept(graphs: Path, compact: Callable[..., LocalEncoder], tmp_path: Path) -> Path:
    """A folder of its own that holds the exported graph alone."""
    compact("openvino")
    (exported,) = graphs.glob(f"{compact('openvino').fingerprint}-*-torch-*.onnx")
    (tmp_path / exported.name).symlink_to(exported)
    return tmp_path


def test_the_second_start_neither_exports_nor_measures(
    kept: Path, pixels: Tensor, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(export, "torch")  # nothing is exported without it
    settings = EncoderSettings(device="cpu", graphs=kept)
    with caplog.at_level(logging.INFO):
        first, second = load_encoder(settings), load_encoder(settings)
    messages = [record.message for record in caplog.records]
    assert messages == ["runtimes_measured", "encoder_loaded", "encoder_loaded"]
    assert {*vars(caplog.records[0])["images_per_s"]} == {"torch", "onnxruntime", "openvino"}
    assert first.runtime.name == second.runtime.name
    np.testing.assert_array_equal(first.encode_images(pixels[:2]), second.encode_images(pixels[:2]))


def test_a_folder_that_comes_from_another_processor_is_measured_again(
    kept: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.delattr(export, "torch")
    settings = EncoderSettings(device="cpu", graphs=kept)
    cpuinfo = kept / "cpuinfo"
    monkeypatch.setattr(open_module, "_CPUINFO", cpuinfo)
    for flags in ("avx512f", "avx512f", "avx512f avx512_vnni"):
        cpuinfo.write_text(f"processor\t: 0\nflags\t\t: {flags}\n")
        with caplog.at_level(logging.INFO):
            load_encoder(settings)
    messages = [record.message for record in caplog.records]
    assert messages.count("runtimes_measured") == 2


def test_a_graph_of_other_code_is_not_taken(kept: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class ImageGraph(open_module.ImageGraph):
        """One that was changed."""

    monkeypatch.setattr(open_module, "ImageGraph", ImageGraph)
    monkeypatch.delattr(export, "torch")  # nothing is exported without it
    with pytest.raises(RuntimeUnavailable, match="openvino"):
        load_encoder(EncoderSettings(device="cpu", runtime="openvino", graphs=kept))


def test_a_named_runtime_that_fails_is_an_error_with_a_way_out(kept: Path) -> None:
    (graph,) = kept.glob("*.onnx")
    graph.unlink()
    graph.write_bytes(b"no graph")
    with pytest.raises(RuntimeUnavailable, match=r"(?s)openvino: .*LOOKALIKE_ENCODER__RUNTIME=torch"):
        load_encoder(EncoderSettings(device="cpu", runtime="openvino", graphs=kept))
