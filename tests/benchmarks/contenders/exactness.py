"""What our transform and precisions change of what is found, on real photos, against the plain way.

The plain way: Pillow decodes the whole picture, torch resizes uint8, the encoder runs in float32.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor

from config.settings import ConfigurationError
from recommender.encoders.preprocess import to_input
from recommender.encoders.protocol import Embeddings, Encoder, Preprocessing
from recommender.errors import LookalikeError
from recommender.images.fetched import Fetched
from tests.benchmarks.contenders.encoder import load
from tests.gates import recall_at_1, top10_overlap
from worker.embedding import Pixels, to_pixels
from worker.plan import ImageKey

_BATCH = 32


@contextmanager
def opened(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """Options: those of our encoder; `files`, and the `products` they show."""
    encoder, products = load(options), options["products"]
    data = [Path(name).read_bytes() for name in options["files"]]
    p = encoder.spec.preprocessing
    plain_pixels, pixels = [plain(file, p) for file in data], [ours(file, p) for file in data]
    reference = rows_of(encoder, plain_pixels)
    expected = recall_at_1(reference, products)

    def against(rows: Embeddings) -> dict[str, float]:
        return {
            "top-10 overlap": top10_overlap(reference, rows),
            "R@1, reference": 100 * expected,
            "R@1": 100 * recall_at_1(rows, products),
            "least cosine": float((reference * rows).sum(1).min()),
        }

    def answer(request: dict[str, Any]) -> dict[str, Any]:
        """The transform, the same image in any batch, or another precision."""
        if request["what"] == "transform":
            return against(rows_of(encoder, pixels))
        if request["what"] == "batch":
            one_by_one = rows_of(encoder, plain_pixels[:200], batch=1)
            return {"least cosine": float((one_by_one * reference[:200]).sum(1).min())}
        try:
            other = load(options | {"settings": request["settings"]})
        except (ConfigurationError, LookalikeError) as error:
            return {"refused": str(error)}
        return against(rows_of(other, plain_pixels))

    yield answer


def plain(data: bytes, p: Preprocessing) -> Tensor:
    """Whole, by Pillow; resized by torch."""
    array = np.array(Image.open(BytesIO(data)).convert("RGB"))
    return to_input(torch.from_numpy(array).permute(2, 0, 1).contiguous(), p)


def ours(data: bytes, p: Preprocessing) -> Tensor:
    """As the worker does it."""
    found = to_pixels(Fetched(data, None), ImageKey("bench", None), p, 64_000_000)
    assert isinstance(found, Pixels), found
    return found.pixels


def rows_of(encoder: Encoder, pixels: list[Tensor], batch: int = _BATCH) -> Embeddings:
    """In batches."""
    parts = [torch.stack(pixels[at : at + batch]) for at in range(0, len(pixels), batch)]
    return np.concatenate([encoder.encode_images(part) for part in parts])
