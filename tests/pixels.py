"""An encoder that costs nothing: its vectors are a coarse picture of the image itself."""

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from PIL import ImageColor
from torch import Tensor

from recommender.encoders.protocol import Embeddings, EncoderSpec, Preprocessing
from recommender.errors import TextNotSupported

GRID = 8


class PixelEncoder:
    """An 8x8 thumbnail of the image, centred and of unit norm; a shift of one pixel shows."""

    spec = EncoderSpec(
        name="pixels",
        source="built-in",
        architecture="none",
        weights="none",
        dimension=3 * GRID * GRID,
        preprocessing=Preprocessing(GRID, GRID, "squash", "bilinear", (0.5,) * 3, (0.5,) * 3),
        licence="none",
    )
    device = "cpu"
    fingerprint = "pixels-000000000000"

    def encode_images(self, pixels: Tensor) -> Embeddings:
        flat = pixels.numpy().reshape(len(pixels), -1).astype(np.float32) / 255 - 0.6
        rows: Embeddings = (flat / np.linalg.norm(flat, axis=1, keepdims=True)).astype(np.float32)
        return rows

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        raise TextNotSupported(f"pixels has no text tower, so {len(texts)} texts can't be embedded")


class ReadingEncoder(PixelEncoder):
    """Reads the name of a colour in a text as a picture that is full of it."""

    spec = replace(PixelEncoder.spec, text_tower=True)

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        return self.encode_images(torch.stack([_filled(text) for text in texts]))


def _filled(text: str) -> Tensor:
    colour = next(word for word in text.split() if word in ImageColor.colormap)
    pixel = torch.tensor(ImageColor.getrgb(colour)[:3], dtype=torch.uint8)
    return pixel[:, None, None].expand(3, GRID, GRID)
