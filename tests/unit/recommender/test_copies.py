"""Copies among rows, against every pair looked at one by one."""

import numpy as np
import pytest

from recommender import copies
from recommender.copies import block_count, find_copies
from recommender.looks import Gathering, Looks


def looks_of(rows: "np.ndarray[tuple[int, int], np.dtype[np.float32]]") -> Looks:
    gathering = Gathering(rows.shape[1])
    for row in rows:
        gathering.add((row / np.linalg.norm(row)).reshape(1, -1).astype(np.float32))
    return gathering.finish()


def by_hand(looks: Looks, min_score: float) -> list[int]:
    labels: list[int] = []
    for row, vector in enumerate(looks.vectors):
        leaders = [other for other in range(row) if labels[other] == other]
        labels.append(next((one for one in leaders if looks.vectors[one] @ vector >= min_score), row))
    return labels


@pytest.mark.parametrize("block_rows", [1, 3, 7, 64])
def test_each_row_belongs_to_the_first_that_it_is_like(
    monkeypatch: pytest.MonkeyPatch, block_rows: int
) -> None:
    monkeypatch.setattr(copies, "BLOCK_ROWS", block_rows)
    chance = np.random.default_rng(5)
    originals = chance.normal(size=(9, 12))
    rows = originals[chance.integers(0, 9, 40)] + chance.normal(size=(40, 12)) * 0.02
    looks = looks_of(rows.astype(np.float32))
    told: list[int] = []
    found = find_copies(looks, min_score=0.999, advance=told.append)
    assert found.tolist() == by_hand(looks, 0.999)
    assert len(told) == block_count(looks)
    assert len(set(found.tolist())) < 40


def test_a_chain_is_not_one_picture() -> None:
    angles = np.array([0.0, 0.04, 0.08], np.float32)
    looks = looks_of(np.stack([np.cos(angles), np.sin(angles)], axis=1))
    assert find_copies(looks, min_score=0.999).tolist() == [0, 0, 2]


def test_no_rows_have_no_copies() -> None:
    assert find_copies(Gathering(4).finish(), min_score=0.999).tolist() == []
