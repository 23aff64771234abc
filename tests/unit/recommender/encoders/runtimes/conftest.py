"""The encoder in the box on every runtime, loaded once, and what it makes of the drawn photos."""

import os
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path

import openvino
import pytest
import torch
from torch import Tensor

from config.settings import PREFIX, EncoderSettings
from recommender.encoders.load import load_encoder
from recommender.encoders.local_encoder import LocalEncoder
from recommender.encoders.preprocess import input_of
from recommender.encoders.registry import spec_of
from tests.photos import FOLDER, photos

Load = Callable[..., LocalEncoder]


@pytest.fixture(scope="session")
def graphs() -> Path:
    return Path(os.environ[f"{PREFIX}ENCODER__GRAPHS"])


@pytest.fixture(scope="session")
def compact(graphs: Path) -> Load:
    """Load `compact` with its own weights, on this runtime and in this precision."""

    @cache
    def load(runtime: str, precision: str = "float32") -> LocalEncoder:
        if precision == "half" and "BF16" not in openvino.Core().get_property(
            "CPU", "OPTIMIZATION_CAPABILITIES"
        ):
            pytest.skip("this processor has no bfloat16")
        calibration = FOLDER if precision == "int8" else None
        return load_encoder(
            EncoderSettings(
                device="cpu", runtime=runtime, precision=precision, calibration=calibration, graphs=graphs
            )
        )

    return load


@pytest.fixture(scope="session")
def products() -> Sequence[str]:
    """What each of the drawn photos shows."""
    return [photo.product for photo in photos()]


@pytest.fixture(scope="session")
def pixels() -> Tensor:
    """The drawn photos as `compact` takes them."""
    p = spec_of("compact").preprocessing
    return torch.stack(
        [input_of(photo.path.read_bytes(), name=photo.path.name, p=p, max_pixels=10**7) for photo in photos()]
    )
