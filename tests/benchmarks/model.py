"""The model that every side runs: one set of weights, as torch modules and as ONNX files made from them."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import safetensors.torch
import torch
from torch import Tensor, nn

from recommender.encoders.protocol import EncoderSpec
from recommender.encoders.registry import spec_of
from recommender.encoders.sources.source import source_of
from recommender.encoders.weights import load_weights

SEED = 20261123


class Tower(nn.Module):
    """(B, 3, S, S) normalised float32 to (B, D) unit rows: the graph that FastEmbed's pipeline feeds."""

    def __init__(self, name: str, weights: Path) -> None:
        super().__init__()
        spec = spec_of(name)
        source = source_of(spec)
        self._towers = source.build(spec)
        load_weights(weights, self._towers, source)
        self.network = self._towers.network.eval().requires_grad_(False)

    def forward(self, pixels: Tensor) -> Tensor:
        return nn.functional.normalize(self._towers.embed_images(pixels).float(), dim=1)


class Graph(nn.Module):
    """(B, 3, S, S) uint8 to (B, D) unit rows; normalised in float32, whatever the tower computes in."""

    def __init__(self, name: str, weights: Path) -> None:
        super().__init__()
        preprocessing = spec_of(name).preprocessing
        self.tower = Tower(name, weights)
        self.register_buffer("mean", torch.tensor(preprocessing.mean).view(1, 3, 1, 1) * 255)
        self.register_buffer("scale", 1 / (torch.tensor(preprocessing.std).view(1, 3, 1, 1) * 255))

    def forward(self, pixels: Tensor) -> Tensor:
        precision = next(self.tower.parameters()).dtype
        return self.tower(((pixels.float() - self.mean) * self.scale).to(precision))


@dataclass(frozen=True)
class Model:
    """Where its files are; `real` weights are the published ones, else they are random, of a fixed seed."""

    name: str
    weights: Path
    uint8_onnx: Path
    float_onnx: Path
    graphs: Path
    real: bool

    @property
    def spec(self) -> EncoderSpec:
        return spec_of(self.name)

    def as_options(self, **settings: Any) -> dict[str, Any]:
        """For a contender; `settings` are more of our encoder's."""
        return {
            "encoder": self.name,
            "weights": str(self.weights),
            "uint8_onnx": str(self.uint8_onnx),
            "float_onnx": str(self.float_onnx),
            "settings": {"graphs": str(self.graphs), **settings},
        }


def files_of(name: str, folder: Path) -> Model:
    """Where the files of a model are, or will be once this module has run."""
    spec = spec_of(name)
    real = spec.source == "built-in"
    folder = folder / name
    weights = source_of(spec).fetch(spec) if real else folder / "weights.safetensors"
    return Model(name, weights, folder / "uint8.onnx", folder / "float" / "model.onnx", folder / "ours", real)


def main() -> None:
    """`python -m tests.benchmarks.model NAME FOLDER`: write what is missing; in a process of its own."""
    name, folder = sys.argv[1], Path(sys.argv[2])
    model = files_of(name, folder)
    model.float_onnx.parent.mkdir(parents=True, exist_ok=True)
    if not model.weights.exists():
        torch.manual_seed(SEED)
        network = source_of(model.spec).build(model.spec).network
        safetensors.torch.save_file(
            {key: tensor.contiguous().clone() for key, tensor in network.state_dict().items()}, model.weights
        )
    side = model.spec.preprocessing.input_px
    for module, sample, path in (
        (Graph, torch.zeros(2, 3, side, side, dtype=torch.uint8), model.uint8_onnx),
        (Tower, torch.zeros(2, 3, side, side), model.float_onnx),
    ):
        if not path.exists():
            with torch.inference_mode():
                _export(module(name, model.weights).eval(), sample, path)


def _export(module: nn.Module, sample: Tensor, path: Path) -> None:
    aside = path.with_suffix(".partial")
    torch.onnx.export(
        module,
        (sample,),
        aside,
        dynamo=True,
        dynamic_shapes=({0: torch.export.Dim("batch")},),
        input_names=["pixels"],
        output_names=["rows"],
        external_data=False,
        verbose=False,
    )
    aside.rename(path)


if __name__ == "__main__":
    main()
