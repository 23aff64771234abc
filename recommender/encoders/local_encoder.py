"""An encoder that runs in this process."""

import threading
from collections.abc import Callable, Sequence

import torch
from torch import Tensor
from torch.nn.functional import normalize

from recommender.encoders.protocol import Embeddings, EncoderSpec
from recommender.encoders.runtimes.runtime import Runtime
from recommender.errors import TextNotSupported


class LocalEncoder:
    """Keeps the `Encoder` protocol: images on the runtime that was chosen, texts on torch."""

    def __init__(
        self,
        spec: EncoderSpec,
        device: str,
        fingerprint: str,
        runtime: Runtime,
        embed_texts: Callable[[Sequence[str]], Tensor] | None,
    ) -> None:
        self.spec = spec
        self.device = device
        self.fingerprint = fingerprint
        self.runtime = runtime
        self._embed_texts = embed_texts
        self._reading = threading.Lock()  # its tokenizer is loaded once

    def encode_images(self, pixels: Tensor) -> Embeddings:
        """Embed (B, 3, input_px, input_px) uint8 RGB on the host."""
        return self.runtime.run(pixels)

    @torch.inference_mode()
    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        """Embed texts into the space of the images.

        Raises:
            TextNotSupported: the model has no text tower.
            WeightsUnavailable: its tokenizer is in no cache and can't be fetched.
        """
        if self._embed_texts is None:
            raise TextNotSupported(f"the encoder {self.spec.name!r} has no text tower")
        with self._reading:
            rows: Embeddings = normalize(self._embed_texts(texts).float(), dim=1).cpu().numpy()
        return rows
