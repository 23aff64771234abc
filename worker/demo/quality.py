"""How good answers are, against chance and against colour histograms. Pure.

Precision@k of a question is the share of its first k answers that are right; a missing answer is a wrong
one. Right by category: the same shape family. Right by category and colour: both the same.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from PIL import Image

K = 10
_LEVELS = 4  # of each channel
HISTOGRAM_BINS = _LEVELS**3


@dataclass(frozen=True, slots=True)
class Truth:
    """What a product is, by the way it was drawn."""

    category: str
    colour: str


@dataclass(frozen=True, slots=True)
class Precision:
    """Means over all questions, in [0, 1]."""

    category: float
    category_colour: float


def precision_at_k(
    answers: Mapping[str, Sequence[str]], truths: Mapping[str, Truth], k: int = K
) -> Precision:
    """Precision of answered product ids, best first, by asked product id."""
    by_category = by_both = 0
    for asked, answered in answers.items():
        truth = truths[asked]
        found = [truths[identity] for identity in answered[:k]]
        by_category += sum(other.category == truth.category for other in found)
        by_both += sum(other == truth for other in found)
    return Precision(by_category / (k * len(answers)), by_both / (k * len(answers)))


def chance(asked: Sequence[str], truths: Mapping[str, Truth]) -> Precision:
    """Expected precision of answers drawn at random from the others of the catalog, at any k."""
    everyone = list(truths.values())
    by_category = sum(_share_like(truths[one].category, [t.category for t in everyone]) for one in asked)
    by_both = sum(_share_like(truths[one], everyone) for one in asked)
    return Precision(by_category / len(asked), by_both / len(asked))


def colour_histogram(image: Image.Image) -> NDArray[np.float32]:
    """Shares of the 4 x 4 x 4 cells of the RGB cube, on a thumbnail: (64,) float32, sum 1."""
    pixels = np.asarray(image.convert("RGB").resize((96, 96), Image.Resampling.BOX), dtype=np.int64)
    red, green, blue = np.moveaxis(pixels * _LEVELS // 256, 2, 0)
    cells = (red * _LEVELS + green) * _LEVELS + blue
    counts = np.bincount(cells.ravel(), minlength=HISTOGRAM_BINS)
    return np.asarray(counts / counts.sum(), dtype=np.float32)


def histogram_answers(
    asked: Sequence[str], histograms: Mapping[str, NDArray[np.float32]], k: int = K
) -> dict[str, list[str]]:
    """Answer by the intersection of colour histograms: the k others that share most, best first."""
    ids = list(histograms)
    matrix = np.stack([histograms[identity] for identity in ids])
    answers = {}
    for one in asked:
        shared = np.minimum(matrix, histograms[one]).sum(axis=1)
        order = np.argsort(-shared, kind="stable")
        answers[one] = [ids[row] for row in order if ids[row] != one][:k]
    return answers


def _share_like(one: object, everyone: Sequence[object]) -> float:
    return (sum(other == one for other in everyone) - 1) / (len(everyone) - 1)
