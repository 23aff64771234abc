"""From a loaded graph to the runtime that runs it, with the files that are kept between two starts."""

import hashlib
import inspect
import json
import platform
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from config.settings import EncoderSettings
from recommender.encoders.fingerprint import int8_fingerprint_of
from recommender.encoders.protocol import Embeddings, EncoderSpec
from recommender.encoders.runtimes.candidates import LEAST_COSINE, Job, Precision, candidates_for
from recommender.encoders.runtimes.choose import Probe, choose
from recommender.encoders.runtimes.export import export_graph, graph_folder
from recommender.encoders.runtimes.runtime import ImageGraph, Runtime
from recommender.errors import WeightsUnavailable

_CPUINFO = Path("/proc/cpuinfo")
_CPU_BATCH = 8
"""Images in the batch that runtimes are measured at on a CPU; larger ones take longer and say the same."""


@dataclass(frozen=True, slots=True)
class _Variant:
    """A graph in floating point or int8: what its rows are called, its file, and images to try it with."""

    fingerprint: str
    exported: Callable[[], Path]
    pixels: Tensor


def open_runtime(
    settings: EncoderSettings,
    spec: EncoderSpec,
    graph: ImageGraph,
    *,
    fingerprint: str,
    device: str,
    precision: Precision,
) -> tuple[Runtime, str]:
    """Return the fastest runtime, and the fingerprint of what it answers: int8 has one of its own.

    `graph` lies on the device. What a CPU needs is exported once, and kept beside the choice in
    `settings.graphs`.

    Raises:
        WeightsUnavailable: the weights answer something that is no number.
        ConfigurationError: the processor lacks what the precision needs, or int8 its images.
        RuntimeUnavailable: no runtime answers what torch answers in float32.
    """
    with graph_folder(settings.graphs) as folder:
        variant = _floating(spec, graph, fingerprint, folder)
        if precision == "int8":
            variant = _int8(variant, settings.calibration, spec, folder)
        rows = _reference(graph, variant.pixels.to(device), spec)
        probe = Probe(variant.pixels, rows, LEAST_COSINE[precision])
        job = Job(
            graph=graph,
            exported=variant.exported,
            precision=precision,
            side_px=spec.preprocessing.input_px,
            threads=torch.get_num_threads(),
            max_batch=settings.max_batch_size,
        )
        candidates = candidates_for(job, settings, device)
        batch = job.max_batch if device == "cuda" else min(job.max_batch, _CPU_BATCH)
        memory = folder / f"{variant.fingerprint}-{_circumstances(job, device, batch)}.json"
        return choose(candidates, probe, batch, memory), variant.fingerprint


def _floating(spec: EncoderSpec, graph: ImageGraph, fingerprint: str, folder: Path) -> _Variant:
    side_px = spec.preprocessing.input_px
    path = folder / f"{fingerprint}-{_code()}-torch-{version('torch')}.onnx"
    return _Variant(fingerprint, partial(export_graph, graph, side_px, path), _noise_and_ramps(side_px))


def _int8(floating: _Variant, images: Path | None, spec: EncoderSpec, folder: Path) -> _Variant:
    # Others need not wait the second that its import takes.
    from recommender.encoders.runtimes.quantize import quantize_graph, read_calibration  # noqa: PLC0415

    calibration = read_calibration(images, spec.preprocessing)
    fingerprint = int8_fingerprint_of(floating.fingerprint, calibration.sha256)
    path = folder / f"{fingerprint}-{_code()}-onnxruntime-{version('onnxruntime')}.onnx"
    return _Variant(
        fingerprint,
        lambda: quantize_graph(floating.exported(), calibration, path),
        calibration.pixels[: len(floating.pixels)],
    )


def _noise_and_ramps(side_px: int) -> Tensor:
    """(4, 3, side_px, side_px) uint8: two of noise and two that are smooth, where other errors show."""
    noise = torch.randint(
        0, 256, (2, 3, side_px, side_px), dtype=torch.uint8, generator=torch.Generator().manual_seed(4)
    )
    ramp = torch.linspace(0, 255, side_px).to(torch.uint8).expand(1, 3, side_px, side_px)
    return torch.cat([noise, ramp, ramp.mT])


@torch.inference_mode()
def _reference(graph: ImageGraph, pixels: Tensor, spec: EncoderSpec) -> Embeddings:
    rows: Embeddings = graph(pixels).cpu().numpy()
    if rows.shape != (len(pixels), spec.dimension) or not np.isfinite(rows).all():
        raise WeightsUnavailable(
            f"the weights of {spec.name!r} are broken: noise gives {rows.shape} with "
            f"{np.count_nonzero(~np.isfinite(rows))} values that are not finite; "
            f"expected ({len(pixels)}, {spec.dimension})"
        )
    return rows


def _code() -> str:
    """8 hex digits that change with the code that graphs are exported from: a kept one may be another's."""
    source = inspect.getsource(ImageGraph) + inspect.getsource(export_graph)
    return hashlib.sha256(source.encode()).hexdigest()[:8]


def _circumstances(job: Job, device: str, batch: int) -> str:
    """12 hex digits that change with whatever may change which runtime is the fastest."""
    machine = torch.cuda.get_device_name() if device == "cuda" else _processor()
    versions = [_code(), *(version(package) for package in ("torch", "onnxruntime", "openvino"))]
    told = json.dumps([machine, job.precision, job.threads, batch, versions])
    return hashlib.sha256(told.encode()).hexdigest()[:12]


def _processor() -> str:
    """The instructions that this CPU knows: the folder may have come from another host."""
    try:
        lines = _CPUINFO.read_text().splitlines()
    except OSError:  # no Linux
        lines = []
    flags = next((line for line in lines if line.startswith(("flags", "Features"))), "")
    return f"{platform.machine()} {torch.backends.cpu.get_cpu_capability()} {flags}"
