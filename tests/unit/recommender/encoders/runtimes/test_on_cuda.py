"""The GPU's runtime; all but the sizes needs one."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
import torch
from torch import Tensor

from config.settings import EncoderSettings
from recommender.encoders.load import load_encoder
from recommender.encoders.local_encoder import LocalEncoder
from recommender.encoders.runtimes.on_cuda import _sizes

needs_gpu = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


@pytest.mark.parametrize(("largest", "sizes"), [(32, (32, 8, 2, 1)), (1, (1,)), (6, (6, 1))])
def test_sizes_fall_to_one(largest: int, sizes: tuple[int, ...]) -> None:
    assert _sizes(largest) == sizes


@needs_gpu
@pytest.mark.parametrize(("precision", "least"), [("half", 0.999), ("float32", 0.9999)])
def test_it_answers_what_the_cpu_answers_whatever_the_batch(
    precision: str, least: float, compact: Callable[..., LocalEncoder], pixels: Tensor
) -> None:
    encoder = load_encoder(EncoderSettings(device="cuda", precision=precision, max_batch_size=32))
    reference = compact("torch").encode_images(pixels)
    for size in (1, 3, 32, len(pixels)):
        with ThreadPoolExecutor(2) as callers:
            rows = np.concatenate([*callers.map(encoder.encode_images, pixels.split(size))])
        assert np.einsum("bd,bd->b", rows, reference).min() >= least
