from typing import Any

import numpy as np
import pytest

from recommender import clusters
from recommender.clusters import group_by_looks
from recommender.errors import InvalidQuery
from recommender.looks import Gathering, Looks


def unit(rows: Any) -> Any:
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def around(directions: int, each: int, *, dimension: int = 24, spread: float = 0.08, seed: int = 0) -> Looks:
    """Products of 1 to 3 rows around a few directions, in turns: product n belongs to n % directions."""
    rng = np.random.default_rng(seed)
    centres = unit(rng.normal(size=(directions, dimension)))
    gathering = Gathering(dimension)
    for n in range(directions * each):
        noise = rng.normal(scale=spread, size=(rng.integers(1, 4), dimension))
        gathering.add(unit(centres[n % directions] + noise))
    return gathering.finish()


def members(found: clusters.Clusters) -> set[frozenset[int]]:
    return {frozenset(group.products.tolist()) for group in found.groups}


@pytest.mark.parametrize("directions", [2, 5, 9])
def test_the_number_of_groups_is_that_of_the_looks(directions: int) -> None:
    found = group_by_looks(around(directions, 40))
    expected = {frozenset(range(first, directions * 40, directions)) for first in range(directions)}
    assert members(found) == expected
    assert found.silhouette is not None
    assert found.silhouette > 0.8


def test_centres_are_fitted_and_judged_by_a_part_of_many(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(clusters, "JUDGED", 60)
    monkeypatch.setattr(clusters, "FITTED", 90)
    found = group_by_looks(around(5, 40))
    assert members(found) == {frozenset(range(first, 200, 5)) for first in range(5)}


def test_a_group_is_named_by_the_product_that_is_most_like_all_of_it() -> None:
    looks = around(3, 30, spread=0.2)
    for group in group_by_looks(looks, 3).groups:
        own = looks.centres[group.products].astype(np.float64)
        mean_cosines = (own @ own.T).mean(axis=1)
        assert mean_cosines[0] == pytest.approx(mean_cosines.max(), abs=1e-6)
        np.testing.assert_allclose(group.likeness, own @ own[0], atol=2e-6)
        assert (np.diff(group.likeness) <= 0).all()
        assert group.medoid == group.products[0]


def test_every_product_is_in_one_group_and_the_largest_comes_first() -> None:
    looks = around(4, 25, spread=0.6)
    found = group_by_looks(looks, 7)
    assert sorted(np.concatenate([group.products for group in found.groups])) == list(range(100))
    sizes = [len(group.products) for group in found.groups]
    assert sizes == sorted(sizes, reverse=True)
    assert len(sizes) == 7


def test_the_same_products_give_the_same_groups() -> None:
    first, again = (group_by_looks(around(4, 50, spread=0.5)) for _ in range(2))
    assert [group.products.tolist() for group in first.groups] == [g.products.tolist() for g in again.groups]
    assert first.silhouette == again.silhouette


def test_fewer_looks_than_groups_make_fewer_groups() -> None:
    gathering = Gathering(3)
    for n in range(10):
        gathering.add(unit([[1, 0, 0] if n < 6 else [0, 1, 0]]))
    found = group_by_looks(gathering.finish(), 5)
    assert [group.products.tolist() for group in found.groups] == [list(range(6)), list(range(6, 10))]
    assert [group.likeness.tolist() for group in found.groups] == [[1.0] * 6, [1.0] * 4]


@pytest.mark.parametrize("count", [1, 2, 3])
def test_a_few_products_can_be_grouped(count: int) -> None:
    gathering = Gathering(8)
    for rows in np.random.default_rng(0).normal(size=(count, 2, 8)):
        gathering.add(unit(rows))
    found = group_by_looks(gathering.finish())
    assert sum(len(group.products) for group in found.groups) == count


def test_all_alike_are_one_group() -> None:
    gathering = Gathering(3)
    for _ in range(30):
        gathering.add(unit([[1, 2, 3]]))
    (group,) = group_by_looks(gathering.finish()).groups
    assert group.products.tolist() == list(range(30))


@pytest.mark.parametrize("k", [0, 21, 1001])
def test_a_number_of_groups_that_can_not_be_is_refused(k: int) -> None:
    with pytest.raises(InvalidQuery, match=r"k: must be 1 to 20, of 20 products"):
        group_by_looks(around(2, 10), k)
