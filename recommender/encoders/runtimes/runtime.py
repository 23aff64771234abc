"""The graph from pixels to rows, and what every runtime of it offers."""

from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

from recommender.encoders.protocol import Embeddings, Preprocessing
from recommender.encoders.sources.source import Towers


class ImageGraph(nn.Module):
    """Normalisation, image tower and unit norm as one module; every runtime runs this graph and no other.

    Pixels arrive as uint8, a quarter of float32's bytes. They are normalised in float32, whatever the
    precision of the network.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, towers: Towers, preprocessing: Preprocessing) -> None:
        super().__init__()
        self.network = towers.network
        self.layout = torch.channels_last if towers.convolutional else torch.contiguous_format
        self._embed = towers.embed_images
        self.register_buffer("mean", 255 * torch.tensor(preprocessing.mean).view(1, 3, 1, 1))
        self.register_buffer("std", 255 * torch.tensor(preprocessing.std).view(1, 3, 1, 1))
        self.eval().requires_grad_(requires_grad=False)

    def forward(self, pixels: Tensor) -> Tensor:
        """Embed (B, 3, input_px, input_px) uint8 RGB: (B, D) float32, unit L2 norm."""
        precision = next(self.network.parameters()).dtype
        x = ((pixels.float() - self.mean) / self.std).to(precision)
        return normalize(self._embed(x).float(), dim=1)


class Runtime(Protocol):
    """Runs one image graph on one device.

    `run` is called by `CALLERS` threads at a time. It serialises what must be, and releases the interpreter's
    lock while the device works.
    """

    name: str

    def run(self, pixels: Tensor) -> Embeddings:
        """Embed (B, 3, input_px, input_px) uint8 RGB on the host; blocks until the rows are there."""
        ...
