"""What an encoder is, as data and as a protocol."""

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

Embeddings = NDArray[np.float32]
"""(B, D) float32 on the host, unit L2 norm, row i for input i."""


@dataclass(frozen=True, slots=True)
class Preprocessing:
    """How pixels reach the network: resized on the host as uint8, normalised on the device.

    `resize` "squash" ignores the aspect ratio; "crop" resizes the shorter side to `resize_px` and
    cuts the middle `input_px` square out. Always antialiased. `mean` and `std` are per channel, of
    values in [0, 1].
    """

    input_px: int
    resize_px: int
    resize: Literal["squash", "crop"]
    interpolation: Literal["bilinear", "bicubic"]
    mean: tuple[float, float, float]
    std: tuple[float, float, float]


@dataclass(frozen=True, slots=True)
class EncoderSpec:
    """One entry of the registry."""

    name: str
    source: Literal["built-in", "torchvision", "open_clip", "timm"]
    architecture: str
    weights: str
    dimension: int
    preprocessing: Preprocessing
    licence: str
    text_tower: bool = False


CALLERS = 2
"""Threads that call an encoder at a time: one copies while the other's batch is computed."""


class Encoder(Protocol):
    """A loaded model, one a process. The batcher calls it, from `CALLERS` threads at a time.

    A call blocks until its rows are there, and releases the interpreter's lock meanwhile. What one call
    copies, it copies while the device works for the other.
    """

    spec: EncoderSpec
    device: str
    fingerprint: str
    """`NAME-` and 12 hex digits of the SHA-256 over weights and preprocessing."""

    def encode_images(self, pixels: Tensor) -> Embeddings:
        """Embed (B, 3, input_px, input_px) uint8 RGB on the host."""
        ...

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts into the space of the images.

        Raises:
            TextNotSupported: the model has no text tower.
        """
        ...
