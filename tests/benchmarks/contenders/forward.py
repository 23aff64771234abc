"""F: the bare forward of preloaded uint8 input, by one runtime; every runtime has the same weights.

On a GPU the input is on the device, and waited for once, in the end; ours is called as the worker calls it:
by two threads, from host memory.
"""

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from recommender.encoders.protocol import CALLERS
from tests.benchmarks.contenders.encoder import load
from tests.benchmarks.model import Graph, spec_of


def _nothing() -> None:
    pass


@dataclass(frozen=True)
class Forward:
    """How a runtime is called. `place` brings the input to where it is read, before the clock starts."""

    call: Callable[[Any], Any]
    place: Callable[[Tensor], Any] = lambda pixels: pixels
    finish: Callable[[], None] = _nothing
    callers: int = 1


class _Loop:
    """One runtime with one number of threads; its inputs and how long a call took, by batch size."""

    def __init__(self, forward: Forward, side_px: int) -> None:
        self._forward = forward
        self._side_px = side_px
        self._inputs: dict[int, Any] = {}
        self._call_s: dict[int, float] = {}

    def rate(self, batch: int, seconds: float) -> float:
        """Images/s over about `seconds`, one call at least; the first call of a batch size is not counted."""
        if batch not in self._inputs:
            torch.manual_seed(0)
            shape = (batch, 3, self._side_px, self._side_px)
            self._inputs[batch] = self._forward.place(torch.randint(0, 256, shape, dtype=torch.uint8))
            self._calls(batch, 1)
            self._call_s[batch] = self._calls(batch, 1) / self._forward.callers
            if self._call_s[batch] > seconds:
                return batch / self._call_s[batch]
        count = max(1, round(seconds / self._call_s[batch] / self._forward.callers))
        took = self._calls(batch, count)
        count *= self._forward.callers
        self._call_s[batch] = took / count
        return count * batch / took

    def _calls(self, batch: int, count: int) -> float:
        """Seconds that `count` calls of each caller took."""
        forward, pixels = self._forward, self._inputs[batch]

        def calls(_: int) -> None:
            for _ in range(count):
                forward.call(pixels)

        started = time.perf_counter()
        if forward.callers == 1:
            calls(0)
        else:
            with ThreadPoolExecutor(forward.callers) as threads:
                list(threads.map(calls, range(forward.callers)))
        forward.finish()
        return time.perf_counter() - started


@contextmanager
def opened(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], float]]:
    """Options: those of the model, `kind`, `device`, and what `kind` needs."""
    side_px = spec_of(options["encoder"]).preprocessing.input_px
    loops: dict[int, _Loop] = {}

    def answer(request: dict[str, Any]) -> float:
        """Images/s over `seconds`, at `batch`, with `threads`."""
        threads = request.get("threads", options["threads"])
        torch.set_num_threads(threads)
        if threads not in loops:
            loops.clear()  # one set of weights in memory is enough
            loops[threads] = _Loop(KINDS[options["kind"]](options | {"threads": threads}), side_px)
        return loops[threads].rate(request["batch"], request["seconds"])

    with torch.inference_mode():
        yield answer


def _torch(options: dict[str, Any]) -> Forward:
    graph = Graph(options["encoder"], Path(options["weights"])).eval()
    on_cuda = options["device"] == "cuda"
    if on_cuda:
        graph = graph.to("cuda")
        torch.backends.cudnn.benchmark = True
        graph.tower.to(torch.bfloat16)  # the weights too: autocast would cast them in every call
    if options["kind"] != "eager":
        graph = graph.to(memory_format=torch.channels_last)
    run: Callable[[Tensor], Tensor] = graph
    if options["kind"] == "compile":
        torch._inductor.config.freezing = not on_cuda
        run = torch.compile(graph, dynamic=False, mode="reduce-overhead" if on_cuda else None)
    if on_cuda:
        return Forward(run, lambda pixels: pixels.to("cuda"), torch.cuda.synchronize)
    return Forward(run)


def _onnxruntime(options: dict[str, Any]) -> Forward:
    import onnxruntime  # noqa: PLC0415

    said = onnxruntime.SessionOptions()
    said.intra_op_num_threads = options["threads"]
    session = onnxruntime.InferenceSession(options["uint8_onnx"], said, providers=["CPUExecutionProvider"])
    return Forward(lambda pixels: session.run(None, {"pixels": pixels}), Tensor.numpy)


def _openvino(options: dict[str, Any]) -> Forward:
    import openvino  # noqa: PLC0415

    said = {
        "INFERENCE_NUM_THREADS": options["threads"],
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }
    core = openvino.Core()
    request = core.compile_model(core.read_model(options["uint8_onnx"]), "CPU", said).create_infer_request()
    return Forward(lambda pixels: np.array(next(iter(request.infer({0: pixels}).values()))), Tensor.numpy)


def _ours(options: dict[str, Any]) -> Forward:
    settings = options.get("settings", {})
    if options["device"] == "cpu":
        settings = settings | {"threads": options["threads"]}
    encoder = load(options | {"settings": settings})
    return Forward(encoder.encode_images, callers=CALLERS)  # as the worker does


KINDS: dict[str, Callable[[dict[str, Any]], Forward]] = {
    "eager": _torch,
    "channels_last": _torch,
    "compile": _torch,
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "ours": _ours,
}
