"""Whether another encoder's collection may take over: checked on the shop's own products.

Looks are compared in a sample of the catalog, exactly and in this process; what the engine does (filters,
times, counts) is asked of the collections as they stand. Nothing is written. docs/evaluation.md has what each
check catches, and what the thresholds were chosen by.
"""

from collections.abc import Iterator

from config.gate_settings import GateSettings
from recommender.quality import comparison
from recommender.quality.photos import Photos
from recommender.quality.sample import draw
from recommender.quality.serving_checks import (
    PairLike,
    counts,
    latency,
    photo_latency,
    placement,
    recall,
)
from recommender.quality.verdict import Check, Verdict, not_measurable

CHECKS = ("counts", "placement", "quality", "overlap", "recall", "latency", "photo latency")
SEED = 0


def judge(old: PairLike, new: PairLike, limits: GateSettings, photos: Photos | None) -> Verdict:
    """Judge `new` by `old`, the pair that serves; blocks for seconds, with large samples up to a minute.

    Args:
        old: the pair that serves.
        new: the pair that would.
        limits: thresholds and sizes.
        photos: the shop's images; None leaves it to the overlap to say whether rows are in their places.

    Raises:
        TransientError: an index does not answer.
    """
    return Verdict(old.index.fingerprint, new.index.fingerprint, tuple(judging(old, new, limits, photos)))


def judging(old: PairLike, new: PairLike, limits: GateSettings, photos: Photos | None) -> Iterator[Check]:
    """The checks that `judge` puts together, as they are done: `CHECKS`, in that order."""
    sample = draw(old.index, new.index, limits.products, seed=SEED)
    yield counts(old.index, new.index, sample, limits)
    if not sample.products:
        for name in CHECKS[1:]:
            yield not_measurable(name, 0, "no product can be found in both collections")
        return
    placed = placement(new, sample, limits, photos=photos, seed=SEED)
    yield placed
    quality = comparison.quality(sample, limits, seed=SEED)
    yield quality
    alone = placed.passed is None or quality.passed is None
    yield comparison.overlap(sample, limits, alone=alone, seed=SEED)
    yield recall(new.index, sample, limits, seed=SEED)
    yield latency(old.index, new.index, sample, limits, seed=SEED)
    yield photo_latency(old, new, limits, seed=SEED)
