"""Which runtimes come into question for a device and a precision, and how each is built."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Literal

import torch
from torch import Tensor

from config.settings import PREFIX, ConfigurationError, EncoderSettings
from recommender.encoders.runtimes.choose import Candidate
from recommender.encoders.runtimes.runtime import ImageGraph, Runtime

Precision = Literal["float32", "half", "int8"]

LEAST_COSINE: dict[Precision, float] = {"float32": 0.9999, "half": 0.999, "int8": 0.9}
"""Between a runtime's rows and the reference's. What int8 loses is a matter of ranking, which no cosine
shows; this only tells a graph that works from one that is broken.
"""
_RUNS: dict[Precision, tuple[str, ...]] = {
    "float32": ("openvino", "onnxruntime", "torch"),
    "half": ("openvino",),
    "int8": ("openvino", "onnxruntime"),
}


@dataclass(frozen=True, slots=True)
class Job:
    """What has to run, and where its files are made when a runtime asks for them."""

    graph: ImageGraph
    exported: Callable[[], Path]
    precision: Precision
    side_px: int
    threads: int
    max_batch: int


def precision_of(settings: EncoderSettings, device: str) -> Precision:
    """Resolve `auto`, and refuse what no runtime offers.

    Raises:
        ConfigurationError: device, runtime and precision don't go together.
    """
    precision: Precision
    if settings.precision == "auto":
        precision = "half" if device == "cuda" else "float32"
    else:
        precision = settings.precision
    if device == "cuda" and precision == "int8":
        raise ConfigurationError(f"{PREFIX}ENCODER__PRECISION=int8 is for a CPU: use half on a GPU")
    runs = ("torch",) if device == "cuda" else _RUNS[precision]
    if settings.runtime not in ("auto", *runs):
        raise ConfigurationError(
            f"{PREFIX}ENCODER__RUNTIME={settings.runtime} does not run {precision} on {device}: "
            f"use auto or {' or '.join(runs)}"
        )
    return precision


def candidates_for(job: Job, settings: EncoderSettings, device: str) -> list[Candidate]:
    """List the runtimes that the settings allow, none of them built yet, the likely best first."""
    if device == "cuda":
        return _on_cuda(job, compiled=settings.runtime == "auto")
    build: dict[str, Callable[[], Runtime]] = {
        "openvino": partial(_openvino, job),
        "onnxruntime": partial(_onnxruntime, job),
        "torch": partial(_torch, job),
    }
    names = _RUNS[job.precision] if settings.runtime == "auto" else (settings.runtime,)
    return [Candidate(name, build[name]) for name in names]


# Each runtime takes a second to import, so that only what is tried is imported.


def _openvino(job: Job) -> Runtime:
    from recommender.encoders.runtimes.on_openvino import OpenVinoRuntime  # noqa: PLC0415

    return OpenVinoRuntime(job.exported(), job.threads, job.precision)


def _onnxruntime(job: Job) -> Runtime:
    from recommender.encoders.runtimes.on_onnxruntime import OnnxRuntime  # noqa: PLC0415

    return OnnxRuntime(job.exported(), job.threads)


def _torch(job: Job) -> Runtime:
    from recommender.encoders.runtimes.on_torch import TorchRuntime  # noqa: PLC0415

    return TorchRuntime(job.graph)


def _on_cuda(job: Job, *, compiled: bool) -> list[Candidate]:
    from recommender.encoders.runtimes.on_cuda import CudaRuntime  # noqa: PLC0415

    graph = job.graph.to(memory_format=job.graph.layout)
    if job.precision == "half":
        graph.network.half()
    forwards: dict[str, Callable[[Tensor], Tensor]] = {"torch": graph}
    if compiled:
        # Without inductor's own CUDA graphs: they belong to the thread that compiled.
        mode = "max-autotune-no-cudagraphs"
        forwards["torch-compiled"] = torch.compile(graph, mode=mode, dynamic=False)
    return [
        Candidate(name, partial(CudaRuntime, name, graph, forward, job.side_px, job.max_batch))
        for name, forward in forwards.items()
    ]
