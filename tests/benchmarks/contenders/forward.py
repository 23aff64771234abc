"""F: the bare forward of preloaded uint8 input, by one runtime; every runtime has the same weights."""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from tests.benchmarks.contenders.encoder import load
from tests.benchmarks.model import Graph, spec_of

Forward = Callable[[Tensor], Any]


@contextmanager
def opened(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """Options: those of the model, `kind`, `threads`, and what `kind` needs."""
    torch.set_num_threads(options["threads"])
    forward, device = KINDS[options["kind"]](options)
    side = spec_of(options["encoder"]).preprocessing.input_px
    inputs: dict[int, Tensor] = {}

    def answer(request: dict[str, Any]) -> float:
        """Images/s over `seconds`, at `batch`; three calls before the clock starts."""
        batch = request["batch"]
        if batch not in inputs:
            torch.manual_seed(0)
            inputs[batch] = torch.randint(0, 256, (batch, 3, side, side), dtype=torch.uint8)
            for _ in range(3):
                forward(inputs[batch])
        if device == "cuda":
            torch.cuda.synchronize()
        calls, started = 0, time.perf_counter()
        while (took := time.perf_counter() - started) < request["seconds"]:
            forward(inputs[batch])
            calls += 1
        return calls * batch / took

    with torch.inference_mode():
        yield answer


def _torch(options: dict[str, Any]) -> tuple[Forward, str]:
    module = Graph(options["encoder"], Path(options["weights"])).eval()
    device = options.get("device", "cpu")
    if device == "cuda":
        module = module.to(device)
    if options["kind"] != "eager":
        module = module.to(memory_format=torch.channels_last)
    run: Forward = module
    if options["kind"] == "compile":
        torch._inductor.config.freezing = True
        run = torch.compile(module, dynamic=False)

    def forward(pixels: Tensor) -> Any:
        with torch.autocast(device, torch.bfloat16, enabled=device == "cuda"):
            return run(pixels.to(device)).float().cpu()

    return forward, device


def _onnxruntime(options: dict[str, Any]) -> tuple[Forward, str]:
    import onnxruntime  # noqa: PLC0415

    said = onnxruntime.SessionOptions()
    said.intra_op_num_threads = options["threads"]
    session = onnxruntime.InferenceSession(options["uint8_onnx"], said, providers=["CPUExecutionProvider"])
    return lambda pixels: session.run(None, {"pixels": pixels.numpy()}), "cpu"


def _openvino(options: dict[str, Any]) -> tuple[Forward, str]:
    import openvino  # noqa: PLC0415

    said = {
        "INFERENCE_NUM_THREADS": options["threads"],
        "INFERENCE_PRECISION_HINT": "f32",
        "PERFORMANCE_HINT": "LATENCY",
        "NUM_STREAMS": 1,
    }
    core = openvino.Core()
    request = core.compile_model(core.read_model(options["uint8_onnx"]), "CPU", said).create_infer_request()
    return lambda pixels: np.array(next(iter(request.infer({0: pixels.numpy()}).values()))), "cpu"


def _ours(options: dict[str, Any]) -> tuple[Forward, str]:
    encoder = load(options)
    return encoder.encode_images, encoder.device


KINDS: dict[str, Callable[[dict[str, Any]], tuple[Forward, str]]] = {
    "eager": _torch,
    "channels_last": _torch,
    "compile": _torch,
    "onnxruntime": _onnxruntime,
    "openvino": _openvino,
    "ours": _ours,
}
