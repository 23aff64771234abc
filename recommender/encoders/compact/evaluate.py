"""Measure the encoder in the box, at each of its resolutions, on labelled photos that were never trained on.

    python -m recommender.encoders.compact.evaluate --photos clothing=DIR --photos grocery=DIR

R@1: the share of held-back photos whose nearest neighbour, by cosine, has their label. It is printed
for two galleries: the training photos, and the other photos that were never trained on. A photo's
own near-duplicates never count. Beside it stand a colour and gradient histogram and the same network
with random weights, measured in the same run.
"""

import argparse
import sys
from collections.abc import Sequence

import torch
from torch import Tensor
from torch.nn import functional

from config.settings import EncoderSettings
from recommender.encoders.compact.model import CompactResNet
from recommender.encoders.compact.photos import (
    STORED_PX,
    Photo,
    Split,
    list_photos,
    load_squashed,
    split_photos,
)
from recommender.encoders.load import load_encoder
from recommender.encoders.registry import REGISTRY, spec_of

MEAN = torch.tensor(spec_of("compact").preprocessing.mean).view(1, 3, 1, 1)
STD = torch.tensor(spec_of("compact").preprocessing.std).view(1, 3, 1, 1)
INPUT_PX = spec_of("compact").preprocessing.input_px
BUILT_IN = [spec.name for spec in REGISTRY.values() if spec.source == "built-in"]


def normalised(pixels: Tensor) -> Tensor:
    """(B, 3, S, S) uint8 -> (B, 3, S, S) float, as the network takes it."""
    return (pixels.float() / 255 - MEAN) / STD


@torch.inference_mode()
def embed(network: CompactResNet, pixels: Tensor) -> Tensor:
    """(N, 3, S, S) uint8 -> (N, D) float32 of unit norm, by a network in training or at random."""
    network.eval()
    return torch.cat([functional.normalize(network(normalised(chunk)), dim=1) for chunk in pixels.split(64)])


def embedded(name: str, weights: str | None, photos: Sequence[Photo]) -> tuple[str, Tensor]:
    """Fingerprint and (N, D) float32 rows of unit norm, by an encoder of the registry."""
    encoder = load_encoder(EncoderSettings(name=name, weights=weights, device="cpu", runtime="torch"))
    pixels = load_squashed(photos, encoder.spec.preprocessing.input_px)
    rows = [torch.from_numpy(encoder.encode_images(chunk)) for chunk in pixels.split(64)]
    return encoder.fingerprint, torch.cat(rows)


def histograms(pixels: Tensor) -> Tensor:
    """Colour (4x4x4 RGB) and gradient (8 directions in 4x4 cells) histograms: (N, 192) of unit norm."""
    bins = (pixels // 64).long()
    index = (bins[:, 0] * 16 + bins[:, 1] * 4 + bins[:, 2]).flatten(1)
    colour = torch.zeros(len(pixels), 64).scatter_add_(1, index, torch.ones(index.shape)).sqrt()
    grey = pixels.float().mean(dim=1)
    down, right = torch.gradient(grey, dim=(1, 2))
    direction = ((torch.atan2(down, right) / torch.pi + 1) * 4).long().clamp(max=7)
    strength = functional.one_hot(direction, 8).permute(0, 3, 1, 2) * torch.hypot(down, right)[:, None]
    gradient = functional.adaptive_avg_pool2d(strength, 4).flatten(1).sqrt()
    return torch.cat([functional.normalize(colour, dim=1), functional.normalize(gradient, dim=1)], dim=1)


def first_hit_rates(
    embeddings: Tensor, photos: Sequence[Photo], split: Split, queries: Sequence[int], gallery: Sequence[int]
) -> dict[str, float]:
    """R@1 by data set; row i of `embeddings` is photo i, neighbours come from the same data set."""
    data_sets = [photo.data_set for photo in photos]
    number = torch.tensor([sorted(set(data_sets)).index(name) for name in data_sets])
    group = torch.tensor(split.groups)
    asked, offered = torch.tensor(queries), torch.tensor(gallery)
    excluded = number[asked][:, None] != number[offered][None]
    excluded |= group[asked][:, None] == group[offered][None]
    cosines = embeddings[asked] @ embeddings[offered].T
    nearest = offered[cosines.masked_fill(excluded, -2).argmax(dim=1)].tolist()
    hits: dict[str, list[bool]] = {}
    for query, answer in zip(queries, nearest, strict=True):
        hits.setdefault(data_sets[query], []).append(photos[query].label == photos[answer].label)
    return {name: sum(values) / len(values) for name, values in sorted(hits.items())}


def shown(rates: dict[str, float]) -> str:
    """Rates as text, one decimal place finer than their noise."""
    return ", ".join(f"{name} {rate:.3f}" for name, rate in rates.items())


def main() -> None:
    """Print the split's hash and, for each kind of embedding and each gallery, R@1."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photos", action="append", required=True, metavar="NAME=DIR")
    parser.add_argument("--weights", help="safetensors file; the shipped one when not given")
    arguments = parser.parse_args()
    photos = list_photos(arguments.photos)
    pixels = load_squashed(photos, INPUT_PX)
    split = split_photos(photos, load_squashed(photos, STORED_PX))
    torch.manual_seed(0)
    kinds = {
        **dict(embedded(name, arguments.weights, photos) for name in BUILT_IN),
        "random weights": embed(CompactResNet(), pixels),
        "colour and gradient histograms": functional.normalize(
            torch.cat([histograms(chunk) for chunk in pixels.split(64)]), dim=1
        ),
    }
    unseen = sorted(split.choosing + split.held_back)
    counts = ", ".join(
        f"{sum(photos[row].data_set == name for row in split.held_back)} {name}"
        for name in sorted({photo.data_set for photo in photos})
    )
    sys.stdout.write(f"split {split.sha256}\nheld back: {counts}\n")
    for gallery_name, gallery in (("training photos", split.train), ("unseen photos", unseen)):
        sys.stdout.write(f"R@1 of held-back photos among {len(gallery)} {gallery_name}:\n")
        for kind, embeddings in kinds.items():
            rates = first_hit_rates(embeddings, photos, split, split.held_back, gallery)
            sys.stdout.write(f"  {kind}: {shown(rates)}\n")


if __name__ == "__main__":
    main()
