"""Measure the encoder in the box on photos that were never trained on.

    python -m recommender.encoders.compact.evaluate --photos clothing=DIR --photos grocery=DIR

R@1: the share of held-back photos whose nearest neighbour, by cosine, has their label. The gallery
is all photos of the same data set that were never trained on (validation and held back), without
the photo itself and its near-duplicates.
"""

from collections.abc import Sequence

import torch
from torch import Tensor, nn

from recommender.encoders.compact.photos import Photo

INPUT_PX = 160
MEAN = torch.tensor([0.485, 0.456, 0.406]).view(1, 3, 1, 1)
STD = torch.tensor([0.229, 0.224, 0.225]).view(1, 3, 1, 1)


@torch.inference_mode()
def embed(network: nn.Module, pixels: Tensor, batch: int = 64) -> Tensor:
    """(N, 3, S, S) uint8 -> (N, D) float32 of unit norm."""
    network.eval()
    rows = [
        torch.nn.functional.normalize(network((chunk.float() / 255 - MEAN) / STD).float(), dim=1)
        for chunk in pixels.split(batch)
    ]
    return torch.cat(rows)


def first_hit_rate(
    embeddings: Tensor,
    photos: Sequence[Photo],
    gallery: Sequence[int],
    groups: Sequence[int],
    queries: Sequence[int],
) -> dict[str, float]:
    """R@1 by data set. `embeddings` row i is photo `gallery[i]`; `queries` is a part of `gallery`."""
    similarity = embeddings @ embeddings.T
    own_group = torch.tensor([groups[row] for row in gallery])
    data_sets = [photos[row].data_set for row in gallery]
    numbers = torch.tensor([sorted(set(data_sets)).index(name) for name in data_sets])
    excluded = (own_group[:, None] == own_group[None]) | (numbers[:, None] != numbers[None])
    nearest = similarity.masked_fill(excluded, -2).argmax(dim=1).tolist()
    hits: dict[str, list[bool]] = {}
    asked = set(queries)
    for row, answer in enumerate(nearest):
        if gallery[row] in asked:
            hit = photos[gallery[row]].label == photos[gallery[answer]].label
            hits.setdefault(data_sets[row], []).append(hit)
    return {name: sum(values) / len(values) for name, values in sorted(hits.items())}
