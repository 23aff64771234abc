"""Bootstrap intervals: against theory where there is one, and what clusters do to them."""

import numpy as np
import pytest

from recommender.quality.intervals import intervals


def test_independent_questions_have_the_interval_of_the_normal_distribution() -> None:
    values = np.random.default_rng(1).normal(0.4, 0.2, (900, 1))
    (found,) = intervals(values, np.arange(900))
    error = 1.96 * values.std() / 30
    assert found.mean == pytest.approx(values.mean())
    assert found.low == pytest.approx(found.mean - error, abs=error / 8)
    assert found.high == pytest.approx(found.mean + error, abs=error / 8)
    assert (found.questions, found.clusters) == (900, 900)


def test_most_intervals_hold_the_true_mean() -> None:
    rng = np.random.default_rng(5)
    held = [
        found.low <= 0.7 <= found.high
        for number in range(200)
        for found in intervals((rng.random((120, 1)) < 0.7).astype(float), np.arange(120), seed=number)
        if found.low is not None and found.high is not None
    ]
    assert len(held) == 200
    assert 0.9 <= np.mean(held) <= 0.99


def test_questions_that_fail_together_promise_less() -> None:
    families = np.repeat(np.arange(40), 9)
    values = np.repeat(np.random.default_rng(3).random((40, 1)) < 0.5, 9, axis=0).astype(float)
    (together,), (apart,) = intervals(values, families), intervals(values, np.arange(360))
    assert together.mean == apart.mean
    assert width(together) == pytest.approx(3 * width(apart), rel=0.15)  # nine questions say what one does


def test_the_difference_of_the_same_questions_is_surer_than_two_means() -> None:
    rng = np.random.default_rng(4)
    old = rng.random((200, 1))
    new = old - 0.02 + rng.normal(0, 0.01, (200, 1))
    (before,), (after,), (change,) = (intervals(v, np.arange(200)) for v in (old, new, new - old))
    assert before.low is not None
    assert after.high is not None
    assert before.low < after.high, "the two means can't be told apart"
    assert change.high is not None
    assert change.high < 0, "the difference can"


def test_the_same_seed_gives_the_same_interval_and_columns_are_alone() -> None:
    values = np.random.default_rng(6).random((50, 3))
    once = intervals(values, np.arange(50))
    assert once == intervals(values, np.arange(50))
    assert once != intervals(values, np.arange(50), seed=1)
    alone = intervals(values[:, [1]], np.arange(50))[0]
    assert (once[1].low, once[1].high) == pytest.approx((alone.low, alone.high))


def test_one_cluster_tells_nothing_of_others() -> None:
    (found,) = intervals(np.array([[0.0], [1.0]]), np.array([7, 7]))
    assert (found.mean, found.low, found.high, found.clusters) == (0.5, None, None, 1)


def width(found: object) -> float:
    return float(found.high - found.low)  # type: ignore[attr-defined]
