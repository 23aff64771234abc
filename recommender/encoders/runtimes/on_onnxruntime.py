"""The exported graph on ONNX Runtime."""

import threading
from pathlib import Path

import onnxruntime
from torch import Tensor

from recommender.encoders.protocol import Embeddings
from recommender.encoders.runtimes.export import INPUT, OUTPUT


class OnnxRuntime:
    """Keeps the `Runtime` protocol on a CPU; one batch at a time has all threads."""

    name = "onnxruntime"

    def __init__(self, graph: Path, threads: int) -> None:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        # Threads that spin between two layers take the cores from those that decode.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(graph, options, providers=["CPUExecutionProvider"])
        self._computing = threading.Lock()

    def run(self, pixels: Tensor) -> Embeddings:
        """Embed (B, 3, input_px, input_px) uint8 RGB on the host; blocks until the rows are there."""
        array = pixels.numpy()
        with self._computing:
            rows: Embeddings = self._session.run([OUTPUT], {INPUT: array})[0]
        return rows
