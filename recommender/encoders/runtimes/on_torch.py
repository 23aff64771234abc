"""The graph on torch, as it is written: what every other runtime is compared with."""

import threading

import torch
from torch import Tensor

from recommender.encoders.protocol import Embeddings
from recommender.encoders.runtimes.runtime import ImageGraph


class TorchRuntime:
    """Keeps the `Runtime` protocol on a CPU; one batch at a time has all threads."""

    name = "torch"

    def __init__(self, graph: ImageGraph) -> None:
        self._graph = graph.to(memory_format=graph.layout)
        self._computing = threading.Lock()

    @torch.inference_mode()
    def run(self, pixels: Tensor) -> Embeddings:
        """Embed (B, 3, input_px, input_px) uint8 RGB on the host; blocks until the rows are there."""
        arranged = pixels.contiguous(memory_format=self._graph.layout)
        with self._computing:
            rows: Embeddings = self._graph(arranged).numpy()
        return rows
