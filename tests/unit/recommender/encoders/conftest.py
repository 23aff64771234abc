"""Photos whose embeddings lie apart, and random weights on disk."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image, ImageDraw
from safetensors.torch import save_file

from recommender.encoders.protocol import EncoderSpec
from recommender.encoders.registry import REGISTRY
from recommender.encoders.sources.source import source_of

SIZES = ((640, 480), (480, 640), (300, 300), (1203, 401), (211, 677), (97, 61))


def draw_photo(seed: int) -> Image.Image:
    """Smooth colour, hard edges and fine texture, so that resizing has something to get wrong."""
    rng = np.random.default_rng(seed)
    width, height = SIZES[seed % len(SIZES)]
    ramp = np.linspace(rng.uniform(0, 255, 3), rng.uniform(0, 255, 3), width)[None].repeat(height, 0)
    texture = rng.normal(0, 25, (height, width, 1))
    image = Image.fromarray((ramp + texture).clip(0, 255).astype(np.uint8))
    canvas = ImageDraw.Draw(image)
    for _ in range(8):
        x, y = rng.uniform(0, width), rng.uniform(0, height)
        radius = rng.uniform(0.05, 0.4) * min(width, height)
        shape = canvas.ellipse if rng.random() < 0.5 else canvas.rectangle
        shape((x - radius, y - radius, x + radius, y + radius), fill=tuple(rng.integers(0, 256, 3).tolist()))
    return image


@pytest.fixture(scope="session")
def photos() -> list[Image.Image]:
    return [draw_photo(seed) for seed in range(40)]


@pytest.fixture(scope="session")
def random_weights(tmp_path_factory: pytest.TempPathFactory) -> Callable[[EncoderSpec], Path]:
    """Save a spec's architecture with random weights, once a session."""
    folder = tmp_path_factory.mktemp("weights")

    def save(spec: EncoderSpec) -> Path:
        path = folder / f"{spec.name}.safetensors"
        if not path.exists():
            torch.manual_seed(7)
            network = source_of(spec).build(spec).network
            for module in network.modules():
                if isinstance(module, torch.nn.BatchNorm2d):  # statistics as of a trained network
                    torch.nn.init.normal_(module.running_mean, std=0.1)
                    torch.nn.init.uniform_(module.running_var, 0.5, 1.5)
            save_file(network.state_dict(), path)
        return path

    return save


@pytest.fixture
def compact_weights(random_weights: Callable[[EncoderSpec], Path]) -> Path:
    return random_weights(REGISTRY["compact"])
