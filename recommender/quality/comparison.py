"""Old rows and new ones of the same products: do neighbours stay, are answers as right as before? Pure."""

from random import Random

import numpy as np

from config.gate_settings import GateSettings
from recommender.looks import Places
from recommender.quality.exhaustive import rank
from recommender.quality.intervals import intervals
from recommender.quality.rankings import DEPTH, METRICS, Floats, measure
from recommender.quality.sample import Sample
from recommender.quality.truth import Truth, about_products, other_images, same_category
from recommender.quality.verdict import Check, at_least, at_most, not_measurable

FEWEST_PRODUCTS = 20
"""With fewer, ten neighbours are half of the catalog, by chance."""
FEWEST_QUESTIONS = 20
_NDCG = METRICS.index("ndcg@10")


def quality(sample: Sample, limits: GateSettings, *, seed: int) -> Check:
    """Whether nDCG@10 is no worse with the new rows, by a truth that the catalog holds itself."""
    for truth, name in _truths(sample, limits.questions, seed):
        check = _quality_by(truth, name, sample, limits)
        if check is not None:
            return check
    return not_measurable(
        "quality",
        limits.max_quality_loss,
        f"of {len(sample.products)} products, fewer than {FEWEST_QUESTIONS} images have another image of "
        "their product or of a variant, and categories don't set enough products apart; "
        f"{_overlap_decides(limits)}",
    )


def overlap(sample: Sample, limits: GateSettings, *, alone: bool, seed: int) -> Check:
    """How many of a product's nearest neighbours stay, beyond those that chance leaves.

    Args:
        sample: the products.
        limits: the thresholds.
        alone: something else that looks are judged by could not be measured: more is asked for.
        seed: which products ask.
    """
    threshold = limits.min_overlap_alone if alone else limits.min_overlap
    count = len(sample.products)
    if count < FEWEST_PRODUCTS:
        return not_measurable("overlap", threshold, f"{count} products are fewer than {FEWEST_PRODUCTS}")
    subjects = _some(range(count), limits.questions, seed)
    truth = about_products(sample.old, {one: {} for one in subjects}, photos=sample.photos)
    before, after = (rank(looks, truth).answers for looks in (sample.old, sample.new))
    stayed = (before[:, :, None] == after[:, None, :]) & (before[:, :, None] >= 0)
    found = (before >= 0).sum(axis=1)
    raw = stayed.any(axis=2).sum(axis=1) / np.maximum(found, 1)
    chance = DEPTH / (count - 1)
    value = intervals(((raw - chance) / (1 - chance))[:, None], np.array(subjects))[0]
    return at_least(
        "overlap",
        value.mean,
        threshold,
        f"{raw.mean():.3f} of {DEPTH} neighbours stay, of {len(subjects)} products among {count}; beyond the "
        f"{chance:.3f} of chance {value.mean:.3f} {_bounds(value.low, value.high)}, at least {threshold:g}",
    )


def _truths(sample: Sample, questions: int, seed: int) -> list[tuple[Truth, str]]:
    """What can be right, the better one first."""
    rows = _some(range(len(sample.images)), questions, seed)
    subjects = _some(range(len(sample.products)), questions, seed)
    by_category = same_category(sample.categories, subjects)
    truths = [(other_images(sample.old, sample.families, sample.photos, rows), "other images and variants")]
    if len(np.unique(sample.categories)) > 1:
        truths.append((about_products(sample.old, by_category, photos=sample.photos), "the same category"))
    return truths


def _quality_by(truth: Truth, name: str, sample: Sample, limits: GateSettings) -> Check | None:
    """None where there are too few questions."""
    if not len(truth):
        return None
    before, after = (rank(looks, truth) for looks in (sample.old, sample.new))
    asked = before.ideal[:, 0] > 0
    clusters = _clusters(sample)[truth.subjects[asked]]
    if asked.sum() < FEWEST_QUESTIONS or len(np.unique(clusters)) < 2:
        return None
    old, new = measure(before)[asked], measure(after)[asked]
    difference = intervals((new - old)[:, [_NDCG]], clusters)[0]
    assert difference.low is not None, "there are two clusters"
    said = (
        f"by {name}, {difference.questions} questions: {_means(old, new)}; nDCG@10 changes by "
        f"{difference.mean:+.3f} {_bounds(difference.low, difference.high)}, and may lose "
        f"{limits.max_quality_loss:g} at the lower bound"
    )
    if difference.low < -limits.max_quality_loss <= difference.mean:
        why = f"{said}; these are too few questions to tell; {_overlap_decides(limits)}"
        return not_measurable("quality", limits.max_quality_loss, why)
    return at_most("quality", -difference.low, limits.max_quality_loss, said)


def _overlap_decides(limits: GateSettings) -> str:
    return f"overlap decides, and has to reach {limits.min_overlap_alone:g}"


def _clusters(sample: Sample) -> Places:
    """(P,): questions about products of one family are not independent."""
    alone = len(sample.products) + np.arange(len(sample.products))
    return np.where(sample.families < 0, alone, sample.families)


def _some(places: range, most: int, seed: int) -> list[int]:
    """At most so many, ascending; the same for the same seed."""
    return sorted(Random(seed).sample(places, min(most, len(places))))  # noqa: S311  # chance without secrets


def _means(old: Floats, new: Floats) -> str:
    pairs = zip(METRICS, old.mean(axis=0), new.mean(axis=0), strict=True)
    return ", ".join(f"{name} {before:.3f} -> {after:.3f}" for name, before, after in pairs)


def _bounds(low: float | None, high: float | None) -> str:
    return "[no interval]" if low is None or high is None else f"[{low:.3f}, {high:.3f}]"
