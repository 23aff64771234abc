"""The graph on a GPU: uint8 over the bus, captured as CUDA graphs, copies beside the computation."""

import queue
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import torch
from torch import Tensor

from recommender.encoders.protocol import CALLERS, Embeddings
from recommender.encoders.runtimes.runtime import ImageGraph

Forward = Callable[[Tensor], Tensor]
_STEP = 4


class CudaRuntime:
    """Keeps the `Runtime` protocol on one GPU.

    Each caller has a lane of its own: stream, pinned host memory, device memory and captured graphs. So one
    lane copies while another computes, and nothing is allocated between batches. A batch is padded to the
    next captured size.

    Raises:
        OutOfMemoryError: the largest batch does not fit.
    """

    def __init__(self, name: str, graph: ImageGraph, forward: Forward, side_px: int, max_batch: int) -> None:
        self.name = name
        self._max_batch = max_batch
        torch.backends.cudnn.benchmark = True  # tries its kernels once a size, before the capture
        self._idle: queue.SimpleQueue[_Lane] = queue.SimpleQueue()
        for _ in range(CALLERS):
            self._idle.put(_Lane(forward, graph.layout, side_px, _sizes(max_batch)))

    def run(self, pixels: Tensor) -> Embeddings:
        """Embed (B, 3, input_px, input_px) uint8 RGB on the host; blocks until the rows are there."""
        lane = self._idle.get()
        try:
            rows: Embeddings = torch.cat([lane.run(part) for part in pixels.split(self._max_batch)]).numpy()
        finally:
            self._idle.put(lane)
        return rows


class _Lane:
    """What one caller needs. Used by one thread at a time."""

    def __init__(
        self, forward: Forward, layout: torch.memory_format, side_px: int, sizes: tuple[int, ...]
    ) -> None:
        self._stream = torch.cuda.Stream()
        shape = (sizes[0], 3, side_px, side_px)
        self._pixels = torch.zeros(shape, dtype=torch.uint8, device="cuda").to(memory_format=layout)
        # Of the same layout, so that the rearrangement is the host's and the copy is one piece.
        self._pinned = torch.zeros(shape, dtype=torch.uint8).to(memory_format=layout).pin_memory()
        pool = torch.cuda.graph_pool_handle()  # the graphs of a lane never run at the same time
        self._captured = {}
        for size in sizes:  # the largest first: the others find room in its memory
            self._captured[size] = self._capture(forward, size, pool)
        self._answer = torch.empty_like(self._captured[sizes[0]][1], device="cpu").pin_memory()

    @torch.inference_mode()
    def _capture(self, forward: Forward, size: int, pool: Any) -> tuple[torch.cuda.CUDAGraph, Tensor]:
        pixels = self._pixels[:size]
        self._stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(self._stream):  # compiles, and lets cuDNN choose
            for _ in range(3):
                forward(pixels)
        self._stream.synchronize()
        captured = torch.cuda.CUDAGraph()
        # Another encoder of this process may be at work meanwhile.
        with torch.cuda.graph(captured, pool=pool, stream=self._stream, capture_error_mode="thread_local"):
            rows = forward(pixels)
        return captured, rows

    @torch.inference_mode()
    def run(self, pixels: Tensor) -> Tensor:
        """Embed B images on the host, B within the largest size: (B, D) float32 on the host."""
        count = len(pixels)
        captured, rows = self._captured[min(size for size in self._captured if size >= count)]
        self._pinned[:count].copy_(pixels)
        with torch.cuda.stream(self._stream):
            self._pixels[:count].copy_(self._pinned[:count], non_blocking=True)
            captured.replay()
            self._answer[:count].copy_(rows[:count], non_blocking=True)
        self._stream.synchronize()  # releases the interpreter's lock
        return self._answer[:count].clone()


def _sizes(max_batch: int) -> tuple[int, ...]:
    """A few sizes from the largest down to 1, each a quarter of the one before."""
    sizes = [max_batch]
    while sizes[-1] > 1:
        sizes.append(max(1, sizes[-1] // _STEP))
    assert all(larger > smaller for larger, smaller in pairwise(sizes))
    return tuple(sizes)
