"""The encoder in the box, at any resolution, and what it would be without its training."""

import hashlib
from collections.abc import Sequence
from dataclasses import replace

import torch
from safetensors.torch import load_file
from torch import Tensor

from recommender.encoders.compact.evaluate import embed
from recommender.encoders.compact.model import CompactResNet
from recommender.encoders.protocol import Embeddings, EncoderSpec
from recommender.encoders.registry import spec_of
from recommender.encoders.sources.built_in import fetch


class CompactEncoder:
    """Keeps the `Encoder` protocol; `seed` draws weights in place of the trained ones."""

    device = "cpu"

    def __init__(self, input_px: int, *, seed: int | None = None) -> None:
        spec = spec_of("compact")
        preprocessing = replace(spec.preprocessing, input_px=input_px, resize_px=input_px)
        self.spec: EncoderSpec = replace(spec, preprocessing=preprocessing)
        digest = hashlib.sha256(f"{input_px} {seed}".encode()).hexdigest()[:12]
        self.fingerprint = f"compact-{digest}"
        with torch.random.fork_rng():
            torch.manual_seed(seed or 0)
            self._network = CompactResNet()
        if seed is None:
            self._network.load_state_dict(load_file(fetch(spec)), strict=False)

    def encode_images(self, pixels: Tensor) -> Embeddings:
        rows: Embeddings = embed(self._network, pixels).numpy()
        return rows

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        raise NotImplementedError
