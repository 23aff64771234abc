"""The swap's benchmark finds wrong answers: each kind of wrong is one that it tells from right."""

from typing import Any

import numpy as np
import pytest

from tests.benchmarks.swap_pictures import uri_of
from tests.benchmarks.swap_traffic import LIMIT, Asked, Catalog, Sent
from tests.benchmarks.swap_verdict import Judge

PRODUCTS = 14
ENCODER = "compact-0123456789ab"
_angles = np.linspace(0, 1, PRODUCTS)
ROWS = np.stack([np.cos(_angles), np.sin(_angles)], axis=1).astype(np.float32)
"""Row n is the less like row 0 the greater n is."""


def document(number: int, version: int = 1) -> dict[str, Any]:
    return {
        "id": f"p{number}",
        "version": version,
        "images": [uri_of(number)],
        "category": "a",
        "title": f"v{version}",
    }


@pytest.fixture
def judge() -> Judge:
    """Every product was there at 1 s; p13 changed at 2 s, and p12 was deleted."""
    catalog = Catalog(PRODUCTS, PRODUCTS + 1)
    for number in range(PRODUCTS):
        catalog.note(Sent(f"m{number}", "products.upsert", document(number), 0.0))
    catalog.note(Sent("changed", "products.upsert", document(13, version=2), 1.5))
    catalog.note(Sent("gone", "products.delete", {"id": "p12", "version": 2}, 1.5))
    acknowledged = {f"m{number}": 1.0 for number in range(PRODUCTS)} | {"changed": 2.0, "gone": 2.0}
    return Judge(catalog, acknowledged, {ENCODER: ROWS})


def answer(*numbers: int, **changes: Any) -> dict[str, Any]:
    items = [{**document(n), "score": float(ROWS[0] @ ROWS[n])} for n in numbers]
    return {"encoder": ENCODER, "items": [items[0] | changes, *items[1:]]}


def asked(said: dict[str, Any], status: int = 200, seed: str = "p0") -> Asked:
    return Asked(seed, 100.0, 100.1, status, said)


RIGHT = tuple(range(1, LIMIT + 1))


def test_a_right_answer_is_right(judge: Judge) -> None:
    assert judge.wrong(asked(answer(*RIGHT))) is None
    assert judge.wrong(asked({}, 404, seed="p12")) is None


@pytest.mark.parametrize(
    "one",
    [
        asked(answer(*RIGHT[:-1])),
        asked(answer(*RIGHT, score=0.5)),
        asked(answer(*RIGHT, title="v7")),
        asked(answer(2, 1, *RIGHT[2:])),
        asked(answer(*RIGHT[1:], 11)),
        asked(answer(*RIGHT[:-1], 12)),
        asked(answer(*RIGHT[:-1], 13)),
        asked(answer(*RIGHT) | {"encoder": "another"}),
        asked(answer(*RIGHT), seed="p12"),
        asked({}, 404),
        asked({}, 500),
    ],
    ids=(
        "too short",
        "score",
        "never said",
        "order",
        "one is missing",
        "deleted",
        "stale",
        "encoder",
        "of a deleted one",
        "not found",
        "failed",
    ),
)
def test_a_wrong_one_is_not(judge: Judge, one: Asked) -> None:
    assert judge.wrong(one)
