"""Which devices, runtimes and precisions go together."""

from pathlib import Path

import pytest
from torch import nn

from config.settings import ConfigurationError, EncoderSettings
from recommender.encoders.registry import spec_of
from recommender.encoders.runtimes.candidates import Job, candidates_for, precision_of
from recommender.encoders.runtimes.runtime import ImageGraph
from recommender.encoders.sources.source import Towers


@pytest.mark.parametrize(("device", "precision"), [("cpu", "float32"), ("cuda", "half")])
def test_the_precision_follows_the_device(device: str, precision: str) -> None:
    assert precision_of(EncoderSettings(), device) == precision


@pytest.mark.parametrize(
    ("device", "runtime", "precision", "message"),
    [
        ("cpu", "onnxruntime", "half", "use auto or openvino"),
        ("cpu", "torch", "int8", "use auto or openvino or onnxruntime"),
        ("cuda", "openvino", "half", "use auto or torch"),
        ("cuda", "auto", "int8", "use half on a GPU"),
    ],
)
def test_what_does_not_go_together_is_refused(
    device: str, runtime: str, precision: str, message: str
) -> None:
    with pytest.raises(ConfigurationError, match=message):
        precision_of(EncoderSettings(runtime=runtime, precision=precision), device)


@pytest.mark.parametrize(
    ("runtime", "expected"), [("auto", ["torch", "torch-compiled"]), ("torch", ["torch"])]
)
def test_on_a_gpu_nothing_is_compiled_where_torch_is_named(runtime: str, expected: list[str]) -> None:
    network = nn.Conv2d(3, 1, 1)
    towers = Towers(network, network.forward, None, convolutional=True)
    job = Job(
        graph=ImageGraph(towers, spec_of("compact").preprocessing),
        exported=Path,
        precision="float32",
        side_px=2,
        threads=1,
        max_batch=1,
    )
    settings = EncoderSettings(runtime=runtime)
    assert [candidate.name for candidate in candidates_for(job, settings, "cuda")] == expected
