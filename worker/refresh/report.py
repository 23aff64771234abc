"""What a refresh says of itself, in its job's record."""

import time
from typing import Any

from prometheus_client import Histogram

from recommender import metrics
from worker.refresh.position import RefreshPosition


def report_of(feed: str, position: RefreshPosition) -> dict[str, Any]:
    """As JSON. Its counts are of products, but for what is said to be images.

    `device_s_saved` is `unchanged_images` times what one image has taken on this process's encoder so far;
    None where it has embedded none.
    """
    counts = position.counts
    an_image_s = seconds_an_image()
    return {
        "feed": feed,
        "records": counts.records,
        "new": counts.new,
        "changed": counts.changed,
        "unchanged": counts.unchanged,
        "older": counts.older,
        "gone": counts.gone,
        "failed": counts.failed,
        "images_listed": counts.listed,
        "images_moved": counts.moved,
        "images_vanished": counts.vanished,
        "looked_at_again": counts.looked,
        "not_listed": counts.unlisted,
        "unchanged_images": counts.unchanged_images,
        "device_s_saved": None if an_image_s is None else round(counts.unchanged_images * an_image_s, 3),
        "seconds": round(time.time() - position.started_at, 3),
    }


def seconds_an_image() -> float | None:
    """What one image took on the encoder, the mean of all of this process; None before the first."""
    seconds, images = _sum_of(metrics.ENCODE_SECONDS), _sum_of(metrics.ENCODE_BATCH_SIZE)
    return seconds / images if images else None


def _sum_of(histogram: Histogram) -> float:
    samples = [sample for family in histogram.collect() for sample in family.samples]
    return sum(float(s.value) for s in samples if s.name.endswith("_sum") and s.labels["kind"] == "image")
