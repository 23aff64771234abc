"""Near-duplicates against an oracle that compares every row with every other, in float64."""

from itertools import combinations
from typing import Any

import numpy as np
import pytest

from recommender import duplicates
from recommender.duplicates import Duplicates, find_duplicates, step_count
from recommender.looks import Gathering, Looks


def unit(rows: Any) -> Any:
    rows = np.asarray(rows, np.float32)
    return rows / np.linalg.norm(rows, axis=1, keepdims=True)


def looks_of(products: list[Any]) -> Looks:
    gathering = Gathering(products[0].shape[1])
    for rows in products:
        gathering.add(rows)
    return gathering.finish()


def drawn(count: int, seed: int, *, dimension: int = 12) -> list[Any]:
    """Products of 1 to 16 rows; some have a row close to that of another product."""
    rng = np.random.default_rng(seed)
    products: list[Any] = []
    for _ in range(count):
        rows = rng.normal(size=(rng.integers(1, 17), dimension))
        if products and rng.random() < 0.5:
            source = products[rng.integers(len(products))]
            near = source[rng.integers(len(source))] + rng.normal(scale=0.1, size=dimension)
            rows[rng.integers(len(rows))] = near
        products.append(unit(rows))
    return products


def oracle(products: list[Any], min_score: float, families: Any = None) -> dict[tuple[int, int], float]:
    found = {}
    for a, b in combinations(range(len(products)), 2):
        if families is not None and families[a] == families[b] >= 0:
            continue
        score = float((products[a].astype(np.float64) @ products[b].astype(np.float64).T).max())
        assert abs(score - min_score) > 1e-5, "a pair on the edge proves nothing: draw another catalog"
        if score > min_score:
            found[a, b] = score
    return found


def components(pairs: Any, count: int) -> set[tuple[int, ...]]:
    groups = {n: {n} for n in range(count)}
    for a, b in pairs:
        merged = groups[a] | groups[b]
        groups.update(dict.fromkeys(merged, merged))
    return {tuple(sorted(group)) for group in groups.values() if len(group) > 1}


def check(found: Duplicates, expected: dict[tuple[int, int], float], products: list[Any]) -> None:
    assert found.pair_count == len(expected)
    assert {pair.products for pair in found.pairs} == expected.keys()
    for pair in found.pairs:
        assert pair.score == pytest.approx(expected[pair.products], abs=6e-6)
        one, two = (products[p][row] for p, row in zip(pair.products, pair.rows, strict=True))
        assert float(one @ two) == pytest.approx(pair.score, abs=6e-6)
    scores = [pair.score for pair in found.pairs]
    assert scores == sorted(scores, reverse=True)
    assert {group.products for group in found.groups} == components(expected, len(products))
    for group in found.groups:
        for place, row, score in zip(group.products, group.rows, group.scores, strict=True):
            assert score == pytest.approx(max(s for p, s in expected.items() if place in p), abs=6e-6)
            partners = {n for pair in expected if place in pair for n in pair} - {place}
            others = np.concatenate([products[n] for n in partners])
            assert (others @ products[place][row]).max() == pytest.approx(score, abs=6e-6)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("block_rows", [16, 64, 1024])
@pytest.mark.parametrize("min_score", [0.97, 0.9, 0.65])
def test_all_pairs_and_groups_are_those_of_the_oracle(
    monkeypatch: pytest.MonkeyPatch, seed: int, block_rows: int, min_score: float
) -> None:
    monkeypatch.setattr(duplicates, "BLOCK_ROWS", block_rows)
    products = drawn(90, seed)
    expected = oracle(products, min_score)
    assert expected
    check(find_duplicates(looks_of(products), min_score=min_score, limit=10**6), expected, products)


def test_two_of_one_family_are_no_pair(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "BLOCK_ROWS", 64)
    products = drawn(90, 7)
    families = np.random.default_rng(1).integers(-1, 3, len(products))
    expected = oracle(products, 0.9, families)
    assert 0 < len(expected) < len(oracle(products, 0.9))
    found = find_duplicates(looks_of(products), min_score=0.9, limit=10**6, families=families)
    check(found, expected, products)


@pytest.mark.parametrize("limit", [0, 1, 7])
def test_the_best_pairs_are_kept_and_all_are_counted(monkeypatch: pytest.MonkeyPatch, limit: int) -> None:
    monkeypatch.setattr(duplicates, "BLOCK_ROWS", 16)
    looks = looks_of(drawn(90, 3))
    every = find_duplicates(looks, min_score=0.5, limit=10**6)
    assert every.pair_count > 100
    some = find_duplicates(looks, min_score=0.5, limit=limit)
    assert some.pairs == every.pairs[:limit]
    assert (some.pair_count, some.groups) == (every.pair_count, every.groups)


def test_the_same_photo_under_many_ids_scores_one_and_makes_one_group(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(duplicates, "BLOCK_ROWS", 32)
    photo = unit(np.random.default_rng(0).normal(size=(1, 320))) * np.float32(1 + 1e-6)
    others = [unit(rows) for rows in np.random.default_rng(1).normal(size=(60, 1, 320))]
    found = find_duplicates(looks_of([*others[:30], *[photo] * 100, *others[30:]]), min_score=1.0, limit=5)
    assert found.pair_count == 100 * 99 // 2
    assert [pair.products for pair in found.pairs] == [(30, n) for n in range(31, 36)]
    assert {pair.score for pair in found.pairs} == {1.0}
    assert [group.products for group in found.groups] == [tuple(range(30, 130))]
    assert found.groups[0].score == 1.0


def test_a_chain_is_one_group_and_says_how_weak_its_weakest_member_is() -> None:
    angles = np.array([0.0, 0.2, 0.45, 2.0])
    looks = looks_of([unit([[np.cos(a), np.sin(a)]]) for a in angles])
    found = find_duplicates(looks, min_score=0.95, limit=9)
    assert [pair.products for pair in found.pairs] == [(0, 1), (1, 2)]
    (group,) = found.groups
    assert group.products == (0, 1, 2)
    assert group.score == pytest.approx(np.cos(0.25), abs=6e-6)


def test_groups_come_best_first_then_the_larger_ones() -> None:
    def turned(*angles: float) -> list[Any]:
        return [unit([[np.cos(a), np.sin(a)]]) for a in angles]

    looks = looks_of(turned(0, 0.1, 1, 1, 2, 2, 2))
    found = find_duplicates(looks, min_score=0.99, limit=9)
    assert [group.products for group in found.groups] == [(4, 5, 6), (2, 3), (0, 1)]


@pytest.mark.parametrize("count", [0, 1])
def test_nothing_to_compare_finds_nothing(count: int) -> None:
    gathering = Gathering(4)
    for _ in range(count):
        gathering.add(unit(np.ones((3, 4))))
    found = find_duplicates(gathering.finish(), min_score=0.5, limit=9)
    assert (found.pairs, found.pair_count, found.groups) == ((), 0, ())


def test_every_step_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(duplicates, "BLOCK_ROWS", 64)
    looks = looks_of(drawn(60, 2))
    told: list[int] = []
    find_duplicates(looks, min_score=0.9, limit=1, advance=told.append)
    assert sum(told) == step_count(looks) > 10


def test_looks_are_gathered_in_their_order() -> None:
    products = [unit(rows) for rows in np.random.default_rng(0).normal(size=(900, 3, 5))]
    looks = looks_of(products)
    assert len(looks) == 900
    assert looks.vectors.shape == (2700, 5)
    np.testing.assert_array_equal(looks.vectors, np.concatenate(products))
    np.testing.assert_array_equal(looks.products_of_rows, np.repeat(np.arange(900), 3))
    np.testing.assert_allclose(looks.centres[7], unit(products[7].sum(axis=0, keepdims=True))[0], atol=1e-6)
