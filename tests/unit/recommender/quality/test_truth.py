"""What is right, and rankings by it, against a loop over every pair of rows in float64."""

from typing import Any

import numpy as np
import pytest

from recommender.looks import Gathering, Looks
from recommender.quality import exhaustive
from recommender.quality.by_index import rank_by_index
from recommender.quality.evaluation import biggest_changes
from recommender.quality.exhaustive import rank
from recommender.quality.rankings import DEPTH, judge, measure, within_depth
from recommender.quality.truth import Truth, about_products, other_images, same_category

SIZES = (3, 1, 2, 1, 1, 4, 2, 1)
FAMILIES = np.array([-1, 0, 0, 1, 1, -1, 2, 2])
# Products 3 and 4 share their only photo; 6 holds one photo twice, which 7 has too.
PHOTOS = np.array([0, 1, 2, 3, 4, 5, 6, 6, 7, 8, 9, 10, 11, 11, 11])


def drawn(sizes: Any = SIZES, dimension: int = 8, seed: int = 0) -> Looks:
    rng = np.random.default_rng(seed)
    gathering = Gathering(dimension)
    for size in sizes:
        rows = rng.normal(size=(size, dimension)).astype(np.float32)
        gathering.add(rows / np.linalg.norm(rows, axis=1, keepdims=True))
    return gathering.finish()


def oracle(looks: Looks, truth: Truth) -> Any:
    """The metrics by way of every pair of rows."""
    values = []
    for question in range(len(truth)):
        hidden = set(truth.hidden[question].tolist())
        scores = np.full(len(looks), -np.inf)
        for product in range(len(looks)):
            for row in range(looks.starts[product], looks.starts[product + 1]):
                if row not in hidden:
                    for asked in truth.asked[question]:
                        score = float(looks.vectors[row].astype(float) @ looks.vectors[asked].astype(float))
                        scores[product] = max(scores[product], score)
        gains = np.zeros(len(looks))
        for product, gain in truth.worth(question).items():
            gains[product] = gain
        values.append(measure(judge(scores[None], gains[None]))[0])
    return np.array(values)


def test_other_images_and_variants_are_right_and_copies_are_not() -> None:
    looks = drawn()
    truth = other_images(looks, FAMILIES, PHOTOS)
    right = {int(truth.asked[q][0]): truth.right[q].tolist() for q in range(len(truth))}
    assert right == {
        **{row: [0] for row in (0, 1, 2)},
        3: [2],  # one image, and a variant with two
        **{row: [1, 2] for row in (4, 5)},
        **{row: [5] for row in (8, 9, 10, 11)},
    }
    hidden = {int(truth.asked[q][0]): truth.hidden[q].tolist() for q in range(len(truth))}
    assert all(hidden[row] == [row] for row in hidden)
    assert truth.subjects.tolist() == [0, 0, 0, 1, 2, 2, 5, 5, 5, 5]


def test_a_copy_elsewhere_answers_nothing() -> None:
    looks = drawn((2, 1, 1))
    truth = other_images(looks, np.full(3, -1), np.array([0, 1, 0, 2]))
    assert truth.hidden[0].tolist() == [0, 2]
    judged = rank(looks, truth)
    assert 1 not in judged.answers[0].tolist()


def test_products_ask_by_all_of_their_images_and_never_find_themselves() -> None:
    looks = drawn()
    truth = about_products(looks, {0: {1: 2.0, 5: 1.0}, 6: {7: 1.0, 3: 1.0}}, photos=PHOTOS)
    assert truth.asked[0].tolist() == truth.hidden[0].tolist() == [0, 1, 2]
    assert truth.worth(0) == {1: 2.0, 5: 1.0}
    assert truth.worth(1) == {3: 1.0}, "7 shows nothing but the photo that is asked by"
    assert about_products(looks, {6: {7: 1.0}}).worth(0) == {7: 1.0}, "whoever judged it meant it"


def test_a_category_is_right_without_the_product_itself() -> None:
    looks = drawn()
    categories = np.array([0, 0, 1, 1, 2, 0, 1, 2])
    truth = about_products(looks, same_category(categories, [0, 4, 6]), photos=PHOTOS)
    assert [sorted(truth.worth(q)) for q in range(3)] == [[1, 5], [7], [2, 3]]


@pytest.mark.parametrize("cells", [1, 40, 10**6])
def test_ranks_are_those_of_a_loop_whatever_the_blocks(monkeypatch: pytest.MonkeyPatch, cells: int) -> None:
    monkeypatch.setattr(exhaustive, "BLOCK_CELLS", cells)
    rng = np.random.default_rng(1)
    looks = drawn(rng.integers(1, 5, 60))
    photos = rng.integers(0, 120, len(looks.vectors))
    families = rng.integers(-1, 20, 60)
    judged = {int(p): {int(o): float(rng.integers(1, 4)) for o in rng.integers(0, 60, 5)} for p in range(9)}
    for truth in (other_images(looks, families, photos), about_products(looks, judged, photos=photos)):
        told: list[int] = []
        np.testing.assert_allclose(measure(rank(looks, truth, advance=told.append)), oracle(looks, truth))
        assert sum(told) == len(truth) > 8


def test_rows_that_are_asked_by_may_differ_from_those_that_are_stored() -> None:
    looks = drawn((1,) * 30)
    truth = about_products(looks, {place: {(place + 1) % 30: 1.0} for place in range(30)})
    shifted = np.roll(looks.vectors, -1, axis=0)
    assert measure(rank(looks, truth, asked=shifted))[:, 0].all()
    assert not measure(rank(looks, truth))[:, 0].all()


def test_an_index_that_answers_exactly_gives_the_same_up_to_ten_answers() -> None:
    rng = np.random.default_rng(7)
    looks = drawn(rng.integers(1, 4, 80))
    truth = other_images(looks, rng.integers(-1, 30, 80), rng.integers(0, 130, len(looks.vectors)))
    ids = [f"p{place}" for place in range(80)]

    def search(rows: Any, limit: int) -> list[tuple[str, float]]:
        scores = np.maximum.reduceat((rows @ looks.vectors.T).max(axis=0), looks.starts[:-1])
        return [(ids[place], float(scores[place])) for place in np.argsort(-scores)[:limit]]

    exact, asked = within_depth(rank(looks, truth)), rank_by_index(search, ids, looks, truth)
    np.testing.assert_allclose(measure(asked), measure(exact))
    np.testing.assert_array_equal(asked.answers, exact.answers)
    assert len(biggest_changes(exact, asked)) == 0

    def forgetful(rows: Any, limit: int) -> list[tuple[str, float]]:
        return search(rows, limit)[3:]

    worse = rank_by_index(forgetful, ids, looks, truth)
    assert measure(worse).mean() < measure(exact).mean()
    first = biggest_changes(exact, worse)[0]
    change = np.abs(measure(worse) - measure(exact))[:, -1]
    assert change[first] == change.max() > 0


def test_some_of_the_questions_are_drawn_once_and_for_all() -> None:
    truth = other_images(drawn(), FAMILIES, PHOTOS)
    some = truth.some(4, seed=3)
    assert len(some) == 4
    assert some.subjects.tolist() == truth.some(4, seed=3).subjects.tolist()
    asked = [rows.tolist() for rows in map(truth.asked.__getitem__, range(len(truth)))]
    for question in range(4):
        same = asked.index(some.asked[question].tolist())
        assert some.worth(question) == truth.worth(same)
    assert truth.some(100, seed=3) is truth
    assert DEPTH == 10
