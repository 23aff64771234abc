"""An exported graph in int8: scales are calibrated on a shop's own images."""

import hashlib
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
import torch
from numpy.typing import NDArray
from onnxruntime.quantization import CalibrationDataReader, QuantFormat, QuantType, quantize_static
from onnxruntime.quantization.shape_inference import quant_pre_process
from torch import Tensor

from config.settings import PREFIX, ConfigurationError
from recommender.encoders.preprocess import input_of
from recommender.encoders.protocol import Preprocessing
from recommender.encoders.runtimes.export import INPUT, PARTIAL, written
from recommender.errors import ImageError

_SUFFIXES = frozenset({".jpg", ".jpeg", ".png", ".webp", ".gif", ".avif"})
_FEWEST, _MOST = 16, 256
_BATCH = 8
_MAX_PIXELS = 64_000_000


@dataclass(frozen=True, slots=True)
class Calibration:
    """(N, 3, input_px, input_px) uint8 RGB on the host, and the SHA-256 of the files they came from."""

    pixels: Tensor
    sha256: str


def read_calibration(folder: Path | None, preprocessing: Preprocessing) -> Calibration:
    """Read some of the images below the folder, evenly over their names: a subfolder may be a category.

    Raises:
        ConfigurationError: no folder is named, or it has too few images, or one that can't be decoded.
    """
    name = f"{PREFIX}ENCODER__CALIBRATION"
    if folder is None:
        raise ConfigurationError(f"int8 needs a folder of typical product images: set {name}")
    paths = sorted(path for path in folder.rglob("*") if path.suffix.lower() in _SUFFIXES)
    if len(paths) < _FEWEST:
        raise ConfigurationError(f"{name}: {folder} has {len(paths)} images; int8 needs {_FEWEST} or more")
    count = min(len(paths), _MOST)
    digest = hashlib.sha256()
    pixels = []
    for path in (paths[place * len(paths) // count] for place in range(count)):
        data = path.read_bytes()
        digest.update(hashlib.sha256(data).digest())
        try:
            pixels.append(input_of(data, name=str(path), p=preprocessing, max_pixels=_MAX_PIXELS))
        except ImageError as error:
            raise ConfigurationError(f"{name}: {error}") from error
    return Calibration(torch.stack(pixels), digest.hexdigest())


def quantize_graph(exported: Path, calibration: Calibration, path: Path) -> Path:
    """Write the graph with int8 weights, one scale a channel, and uint8 activations, as QDQ nodes.

    Of the types tried, this pair is fast on both runtimes and keeps most of the ranking.
    """

    def write(target: Path) -> None:
        with TemporaryDirectory(prefix=PARTIAL, dir=path.parent) as folder:
            prepared = Path(folder) / "prepared.onnx"
            # Its symbolic shapes are for transformers of text; ONNX's own inference follows.
            quant_pre_process(exported, prepared, skip_symbolic_shape=True)
            quantize_static(
                prepared,
                target,
                _Batches(calibration.pixels),
                quant_format=QuantFormat.QDQ,
                per_channel=True,
                activation_type=QuantType.QUInt8,
                weight_type=QuantType.QInt8,
            )

    return written(path, write)


class _Batches(CalibrationDataReader):
    def __init__(self, pixels: Tensor) -> None:
        self._batches = iter(pixels.split(_BATCH))

    def get_next(self) -> dict[str, NDArray[np.uint8]] | None:
        batch = next(self._batches, None)
        return None if batch is None else {INPUT: batch.numpy()}
