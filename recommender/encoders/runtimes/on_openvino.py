"""The exported graph on OpenVINO."""

import threading
from pathlib import Path
from typing import Literal

import openvino
from torch import Tensor

from config.settings import PREFIX, ConfigurationError
from recommender.encoders.protocol import CALLERS, Embeddings

_HINTS = {"float32": "f32", "half": "bf16", "int8": "f32"}


class OpenVinoRuntime:
    """Keeps the `Runtime` protocol on a CPU.

    Each caller has a request and a stream of its own, and the streams share the threads: no batch waits for
    another one, nor a stream's thread for one whose core a decoder has taken.

    Raises:
        ConfigurationError: half precision was asked for, and the processor computes nothing in bfloat16.
    """

    name = "openvino"

    def __init__(self, graph: Path, threads: int, precision: Literal["float32", "half", "int8"]) -> None:
        core = openvino.Core()
        if precision == "half" and "BF16" not in core.get_property("CPU", "OPTIMIZATION_CAPABILITIES"):
            raise ConfigurationError(
                f"{PREFIX}ENCODER__PRECISION=half, but this processor has no bfloat16 (AVX512_BF16 or AMX): "
                "use float32, or int8"
            )
        self._model = core.compile_model(
            core.read_model(graph),
            "CPU",
            {
                "PERFORMANCE_HINT": "THROUGHPUT",
                "NUM_STREAMS": min(CALLERS, threads),
                "INFERENCE_NUM_THREADS": threads,
                "INFERENCE_PRECISION_HINT": _HINTS[precision],
                "ENABLE_CPU_PINNING": False,  # processes that share a machine would pin to the same cores
            },
        )
        self._caller = threading.local()

    def run(self, pixels: Tensor) -> Embeddings:
        """Embed (B, 3, input_px, input_px) uint8 RGB on the host; blocks until the rows are there."""
        if not hasattr(self._caller, "request"):
            self._caller.request = self._model.create_infer_request()
        rows: Embeddings = self._caller.request.infer({0: pixels.numpy()}, share_inputs=True)[0]
        return rows
