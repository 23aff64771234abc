"""Which devices, runtimes and precisions go together."""

import pytest

from config.settings import ConfigurationError, EncoderSettings
from recommender.encoders.runtimes.candidates import precision_of


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
