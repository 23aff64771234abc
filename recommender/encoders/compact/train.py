"""Train the encoder in the box on folders of labelled photos.

    python -m recommender.encoders.compact.train --photos clothing=DIR --photos grocery=DIR --out W

One network, one cosine classifier over the labels of all data sets, plus a supervised contrastive
term (Khosla et al., "Supervised Contrastive Learning", 2020, equation 2) on the batches that are
not mixed. Mixed batches use CutMix (Yun et al., 2019). The weights that are kept are an exponential
moving average; the last layer is fitted to the pooled features of the training photos. The forward
pass runs in bfloat16, which a processor with units for it does at twice the rate of float32.
"""

import argparse
import math
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import cast

import torch
from safetensors.torch import save_file
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from recommender.encoders.compact.evaluate import (
    INPUT_PX,
    MEAN,
    STD,
    embed,
    first_hit_rates,
    normalised,
    shown,
)
from recommender.encoders.compact.model import DIMENSION, CompactResNet
from recommender.encoders.compact.photos import STORED_PX, list_photos, load_squashed, split_photos

CROP_PX = 128
EARLY_CROP_PX = 96  # half the time a step; the later epochs get used to the full size
BATCH = 64
WEIGHT_DECAY = 5e-4
LABEL_SMOOTHING = 0.1
COSINE_SCALE = 16.0
CONTRASTIVE_WEIGHT = 0.3
CONTRASTIVE_TEMPERATURE = 0.1
MIXED_SHARE = 0.35
EMA_DECAY = 0.998
WHITENING = 0.25  # of 0 (centred only) to 0.5 (equal spread in every direction)
MAX_ROTATION_RAD = math.radians(30)


@dataclass(frozen=True, slots=True)
class Cycle:
    """One rise and fall of the learning rate; the first `early_epochs` see small crops."""

    epochs: int
    early_epochs: int
    peak_learning_rate: float


CYCLES = (Cycle(100, 70, 0.1), Cycle(35, 0, 0.05))


class CosineClassifier(nn.Module):
    """Scaled cosines to one learned direction a label, so that angles are what is trained."""

    def __init__(self, directions: Tensor) -> None:
        super().__init__()
        self.directions = nn.Parameter(functional.normalize(directions, dim=1))

    def forward(self, features: Tensor) -> Tensor:
        """(B, DIMENSION) float -> (B, labels) float logits."""
        return COSINE_SCALE * functional.linear(
            functional.normalize(features, dim=1), functional.normalize(self.directions, dim=1)
        )


def augment(pixels: Tensor, crop_px: int, generator: torch.Generator) -> Tensor:
    """Crop, rotate, mirror, shift colours and erase.

    (B, 3, STORED_PX, STORED_PX) uint8 -> (B, 3, crop_px, crop_px) float, normalised.
    """
    batch = len(pixels)

    def uniform(low: float, high: float, *shape: int) -> Tensor:
        return torch.empty(*(shape or (batch,))).uniform_(low, high, generator=generator)

    area, ratio = uniform(0.3, 1.0), torch.exp(uniform(-0.29, 0.29))
    half_width = (area * ratio).sqrt().clamp(max=1)
    half_height = (area / ratio).sqrt().clamp(max=1)
    angle = uniform(-MAX_ROTATION_RAD, MAX_ROTATION_RAD) * (uniform(0, 1) < 0.5)
    mirror = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    theta = torch.zeros(batch, 2, 3)
    theta[:, 0, 0] = half_width * angle.cos() * mirror
    theta[:, 0, 1] = -half_height * angle.sin()
    theta[:, 1, 0] = half_width * angle.sin() * mirror
    theta[:, 1, 1] = half_height * angle.cos()
    theta[:, 0, 2] = uniform(-1, 1) * (1 - half_width)
    theta[:, 1, 2] = uniform(-1, 1) * (1 - half_height)
    grid = functional.affine_grid(theta, [batch, 3, crop_px, crop_px], align_corners=False)
    x = functional.grid_sample(pixels.float() / 255, grid, padding_mode="reflection", align_corners=False)
    x = x * uniform(0.7, 1.3, batch, 1, 1, 1)  # brightness
    grey = x.mean(dim=1, keepdim=True)
    x = grey + (x - grey) * uniform(0.6, 1.4, batch, 1, 1, 1)  # saturation
    middle = x.mean(dim=(1, 2, 3), keepdim=True)
    x = middle + (x - middle) * uniform(0.7, 1.3, batch, 1, 1, 1)  # contrast
    x = x * uniform(0.95, 1.05, batch, 3, 1, 1)  # white balance; hue stays, since it tells labels
    x = ((x.clamp(0, 1) - MEAN) / STD).contiguous(memory_format=torch.channels_last)
    for row in (uniform(0, 1) < 0.25).nonzero().flatten().tolist():
        top, left, height, width = _random_box(float(uniform(0.02, 0.25, 1)), crop_px, generator)
        x[row, :, top : top + height, left : left + width] = 0
    return x


def _random_box(share: float, side_px: int, generator: torch.Generator) -> tuple[int, int, int, int]:
    ratio, down, right = torch.rand(3, generator=generator).tolist()
    stretch = math.exp((ratio - 0.5) * 1.2)
    height = min(side_px, max(1, round(side_px * math.sqrt(share * stretch))))
    width = min(side_px, max(1, round(side_px * math.sqrt(share / stretch))))
    return round(down * (side_px - height)), round(right * (side_px - width)), height, width


def contrastive_loss(features: Tensor, labels: Tensor) -> Tensor:
    """Supervised contrastive loss of one view: pulls equal labels of the batch together."""
    unit = functional.normalize(features, dim=1)
    logits = unit @ unit.T / CONTRASTIVE_TEMPERATURE  # (B, B)
    itself = torch.eye(len(labels), dtype=torch.bool)
    log_probability = functional.log_softmax(logits.masked_fill(itself, -1e9), dim=1)
    same = (labels[:, None] == labels[None, :]) & ~itself
    count = same.sum(dim=1)
    mean = (log_probability * same).sum(dim=1)[count > 0] / count[count > 0]
    return -mean.mean()


def batches(labels: Tensor, generator: torch.Generator) -> Iterator[Tensor]:
    """Yield the rows of each batch of one epoch, shuffled.

    A batch holds up to four photos of each label it draws, so that the contrastive term finds partners
    also for the small labels.
    """
    rows = torch.randperm(len(labels), generator=generator)
    fours: list[Tensor] = []
    for label in labels.unique():
        mine = rows[labels[rows] == label]
        fours.extend(mine.split(4))
    order = torch.randperm(len(fours), generator=generator).tolist()
    shuffled = torch.cat([fours[index] for index in order])
    yield from shuffled.split(BATCH)[: len(labels) // BATCH]


def _loss(
    network: CompactResNet, classifier: nn.Module, x: Tensor, y: Tensor, generator: torch.Generator
) -> Tensor:
    mixed = bool(torch.rand(1, generator=generator) < MIXED_SHARE)
    kept = 1.0
    partner = torch.arange(len(y))
    if mixed:
        partner = torch.randperm(len(y), generator=generator)
        share = float(torch.rand(1, generator=generator)) * 0.5
        top, left, height, width = _random_box(share, x.shape[2], generator)
        box = (slice(None), slice(None), slice(top, top + height), slice(left, left + width))
        x[box] = x[partner][box]
        kept = 1 - height * width / x.shape[2] ** 2
    with torch.autocast("cpu", torch.bfloat16):
        features = network.pooled(x)
    features = features.float()
    logits = classifier(features)

    def entropy(target: Tensor) -> Tensor:
        return functional.cross_entropy(logits, target, label_smoothing=LABEL_SMOOTHING)

    loss = kept * entropy(y) + (1 - kept) * entropy(y[partner])
    return loss if mixed else loss + CONTRASTIVE_WEIGHT * contrastive_loss(features, y)


def train(pixels: Tensor, labels: Tensor, seed: int) -> Iterator[CompactResNet]:
    """Train on (N, 3, STORED_PX, STORED_PX) uint8 photos and (N,) labels.

    Yields the averaged network after every epoch, and at last the mean of those that the cycles ended
    with. A cycle starts from the average that the one before it ended with, and from a classifier that
    points at the mean of each label.
    """
    torch.manual_seed(seed)
    generator = torch.Generator().manual_seed(seed)
    network = CompactResNet().to(memory_format=torch.channels_last)
    ends = AveragedModel(network, use_buffers=True)
    directions = torch.randn(int(labels.max()) + 1, DIMENSION)
    for cycle in CYCLES:
        for averaged in _cycle(network, directions, pixels, labels, cycle=cycle, generator=generator):
            yield averaged
        ends.update_parameters(averaged)
        network = averaged
        directions = label_directions(network, pixels, labels)
    yield cast("CompactResNet", ends.module)


def _cycle(
    network: CompactResNet,
    directions: Tensor,
    pixels: Tensor,
    labels: Tensor,
    *,
    cycle: Cycle,
    generator: torch.Generator,
) -> Iterator[CompactResNet]:
    classifier = CosineClassifier(directions)
    averaged = AveragedModel(network, multi_avg_fn=get_ema_multi_avg_fn(EMA_DECAY), use_buffers=True)
    parameters = [*network.stem.parameters(), *network.stages.parameters(), *classifier.parameters()]
    optimizer = torch.optim.SGD(
        parameters, momentum=0.9, nesterov=True, foreach=True, lr=0.01, weight_decay=WEIGHT_DECAY
    )
    steps = cycle.epochs * (len(labels) // BATCH)
    schedule = torch.optim.lr_scheduler.OneCycleLR(
        optimizer, cycle.peak_learning_rate, total_steps=steps + 1, pct_start=0.15
    )
    for epoch in range(cycle.epochs):
        network.train()
        crop_px = EARLY_CROP_PX if epoch < cycle.early_epochs else CROP_PX
        for rows in batches(labels, generator):
            x = augment(pixels[rows], crop_px, generator)
            loss = _loss(network, classifier, x, labels[rows], generator)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            averaged.update_parameters(network)
        yield cast("CompactResNet", averaged.module)


@torch.inference_mode()
def label_directions(network: CompactResNet, pixels: Tensor, labels: Tensor) -> Tensor:
    """Sum each label's pooled features, each of unit norm first: (labels, DIMENSION), of any length."""
    network.eval()
    pooled = torch.cat([network.pooled(normalised(chunk)) for chunk in pixels.split(BATCH)])
    return functional.one_hot(labels).float().T @ functional.normalize(pooled, dim=1)


@torch.inference_mode()
def fit_whitening(network: CompactResNet, pixels: Tensor) -> None:
    """Fit the last layer to (N, 3, S, S) uint8 photos.

    With mean m and covariance C of the pooled features x, the layer becomes C^-WHITENING (x - m).
    """
    network.eval()
    pooled = torch.cat([network.pooled(normalised(chunk)) for chunk in pixels.split(BATCH)])
    mean = pooled.mean(dim=0)
    values, directions = torch.linalg.eigh(torch.cov((pooled - mean).T))
    floor = 1e-3 * values.max()  # what hardly varies is noise, not to be blown up
    matrix = directions @ torch.diag((values + floor) ** -WHITENING) @ directions.T
    network.whitening.weight.copy_(matrix)
    network.whitening.bias.copy_(-matrix @ mean)


def main() -> None:
    """Train on the `train` photos and write the averaged weights, in half precision."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--photos", action="append", required=True, metavar="NAME=DIR")
    parser.add_argument("--out", type=Path, required=True, help="safetensors file to write")
    parser.add_argument("--seed", type=int, default=1)
    arguments = parser.parse_args()
    photos = list_photos(arguments.photos)
    pixels, sharp = load_squashed(photos, STORED_PX), load_squashed(photos, INPUT_PX)
    split = split_photos(photos, pixels)
    names = sorted({photo.label for photo in photos})
    labels = torch.tensor([names.index(photo.label) for photo in photos])
    sys.stdout.write(
        f"split {split.sha256}: {len(split.train)} to train on, {len(split.choosing)} to choose by, "
        f"{len(split.held_back)} held back, {len(names)} labels\n"
    )
    last = sum(cycle.epochs for cycle in CYCLES) + 1
    for number, network in enumerate(train(pixels[split.train], labels[split.train], arguments.seed), 1):
        if number % 10 == 0 or number == last:
            fit_whitening(network, sharp[split.train])
            embeddings = embed(network, sharp)
            rates = first_hit_rates(embeddings, photos, split, split.choosing, split.train)
            sys.stdout.write(f"{number} of {last}: R@1 of the photos to choose by: {shown(rates)}\n")
            sys.stdout.flush()
    weights = {
        name: (value.half() if value.is_floating_point() else value).contiguous()
        for name, value in network.state_dict().items()
    }
    save_file(weights, arguments.out)


if __name__ == "__main__":
    main()
