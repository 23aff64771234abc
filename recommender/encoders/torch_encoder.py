"""An encoder that runs in this process, on torch."""

from collections.abc import Sequence
from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor

from recommender.encoders.protocol import Embeddings, EncoderSpec
from recommender.encoders.sources.source import Towers
from recommender.errors import TextNotSupported


class TorchEncoder:
    """Keeps the `Encoder` protocol. Not thread-safe; each call blocks until the device has answered.

    On cuda the forward pass runs in half precision; normalisation is float32 everywhere.
    """

    def __init__(self, spec: EncoderSpec, towers: Towers, device: str, fingerprint: str) -> None:
        self.spec = spec
        self.device = device
        self.fingerprint = fingerprint
        self._towers = towers
        self._layout = torch.channels_last if towers.convolutional else torch.contiguous_format
        self._mean = torch.tensor(spec.preprocessing.mean, device=device).view(1, 3, 1, 1)
        self._std = torch.tensor(spec.preprocessing.std, device=device).view(1, 3, 1, 1)
        towers.network.to(device).to(memory_format=self._layout).eval().requires_grad_(False)

    @torch.inference_mode()
    def encode_images(self, pixels: Tensor) -> Embeddings:
        """Embed (B, 3, input_px, input_px) uint8 RGB on the host."""
        on_device = pixels.to(self.device, memory_format=self._layout)
        x = (on_device.float() / 255 - self._mean) / self._std
        with self._precision():
            features = self._towers.embed_images(x)
        return _unit_rows(features)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts into the space of the images.

        Raises:
            TextNotSupported: the model has no text tower.
            WeightsUnavailable: its tokenizer is in no cache and can't be fetched.
        """
        if self._towers.embed_texts is None:
            raise TextNotSupported(f"the encoder {self.spec.name!r} has no text tower")
        with self._precision():
            features = self._towers.embed_texts(texts)
        return _unit_rows(features)

    def _precision(self) -> AbstractContextManager[object]:
        return torch.autocast("cuda", torch.float16) if self.device == "cuda" else nullcontext()


def _unit_rows(features: Tensor) -> Embeddings:
    """(B, D) on any device -> (B, D) float32 of unit L2 norm on the host."""
    rows: Embeddings = torch.nn.functional.normalize(features.float(), dim=1).cpu().numpy()
    return rows
