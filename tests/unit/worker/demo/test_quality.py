import numpy as np
import pytest
from PIL import Image

from worker.demo.quality import (
    Precision,
    Truth,
    chance,
    colour_histogram,
    histogram_answers,
    precision_at_k,
)

TRUTHS = {
    "a": Truth("mugs", "red"),
    "b": Truth("mugs", "red"),
    "c": Truth("mugs", "blue"),
    "d": Truth("sofas", "red"),
    "e": Truth("sofas", "blue"),
}


def test_precision_of_answers_made_by_hand() -> None:
    answers = {"a": ["b", "c", "d"], "e": ["a", "d", "c"]}
    # a: mug and red, mug, neither category; e: nothing, a sofa of another colour, nothing
    assert precision_at_k(answers, TRUTHS, k=3) == Precision(3 / 6, 1 / 6)


def test_only_the_first_k_count() -> None:
    assert precision_at_k({"a": ["d", "b", "c"]}, TRUTHS, k=1) == Precision(0, 0)


def test_a_missing_answer_is_a_wrong_one() -> None:
    assert precision_at_k({"a": ["b"]}, TRUTHS, k=4) == Precision(1 / 4, 1 / 4)
    assert precision_at_k({"a": []}, TRUTHS, k=4) == Precision(0, 0)


def test_chance_is_the_share_among_the_others() -> None:
    assert chance(["a"], TRUTHS) == Precision(2 / 4, 1 / 4)
    expected = chance(["a", "e"], TRUTHS)
    assert expected.category == pytest.approx((2 / 4 + 1 / 4) / 2)
    assert expected.category_colour == pytest.approx((1 / 4 + 0) / 2)


def test_chance_is_what_random_answers_reach() -> None:
    ids = list(TRUTHS)
    rng = np.random.default_rng(0)
    reached = np.mean(
        [precision_at_k({"a": list(rng.permutation(ids[1:]))[:2]}, TRUTHS, k=2).category for _ in range(4000)]
    )
    assert reached == pytest.approx(chance(["a"], TRUTHS).category, abs=0.03)


def test_a_histogram_counts_cells_of_the_colour_cube() -> None:
    image = Image.new("RGB", (96, 96), (255, 0, 70))
    image.paste((0, 0, 0), (0, 0, 96, 24))
    histogram = colour_histogram(image)
    assert histogram.shape == (64,)
    assert histogram.sum() == pytest.approx(1)
    assert histogram[0] == pytest.approx(0.25)
    assert histogram[3 * 16 + 0 * 4 + 1] == pytest.approx(0.75)


def test_histograms_answer_by_colour_and_never_with_the_asked() -> None:
    pictures = {"red": (250, 0, 0), "also red": (240, 10, 5), "dark red": (150, 0, 0), "blue": (0, 0, 250)}
    histograms = {name: colour_histogram(Image.new("RGB", (50, 50), rgb)) for name, rgb in pictures.items()}
    answers = histogram_answers(["red", "blue"], histograms, k=2)
    assert answers["red"][0] == "also red"
    assert "red" not in answers["red"]
    assert len(answers["blue"]) == 2
