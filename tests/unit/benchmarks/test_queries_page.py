from typing import Any

import numpy as np

from recommender.catalog import Filter
from tests.benchmarks.looks import Looks, Shape
from tests.benchmarks.queries_page import fast, recall
from tests.benchmarks.result import Result


def shape(kind: str, found: dict[str, tuple[float, float]]) -> dict[str, Any]:
    measured = {name: {"recall": [recall, 1.0], "ms": [ms] * 2} for name, (recall, ms) in found.items()}
    return {"shape": "range", "kind": kind, "share": 0.2, "path": "exact", "found": measured}


def test_the_best_is_the_fastest_that_is_right_for_both_kinds() -> None:
    free = shape("free", {"ours": (1, 3), "default": (1, 1), "ACORN": (0.98, 2), "exact": (1, 4)})
    tied = shape("tied", {"ours": (1, 5), "default": (0.5, 1), "ACORN": (0.98, 2), "exact": (1, 4)})
    facts = {"engine": "e", "products": 10, "rows": 20, "dimension": 4, "seeds": 2, "shapes": [free, tied]}
    page = recall(Result("recall-graph", facts=facts))
    assert "| range | 1.000 | 4 | ACORN | 2 | 2.00 |" in page
    tied["found"]["ACORN"]["recall"] = [0.9, 1.0]
    page = recall(Result("recall-graph", facts=facts))
    assert "| range | 1.000 | 4 | exact | 4 | 1.00 |" in page
    assert "| range, tied | 20.0 % | exact | 1.000 (1.0), 5 ms | 0.750 (0.5), 1 ms |" in page


def test_bounds_are_said_beside_what_was_measured() -> None:
    result = Result("fast", facts={"products": 1, "rounds": 2, "requests": 3, "shed": 0, "ingested": [1]})
    result.facts["encoder"] = "compact"
    values = {
        "raw, no HTTP": 5.0,
        "ours, no HTTP": 5.4,
        "E, 1": 5.0,
        "B, 1": 1.0,
        "ours, 1": 6.5,
        "E, 8": 40.0,
        "B, 8": 8.0,
        "ours, 8": 50.0,
        **{f"{name}, {state}": 9.0 for name in ("upload", "by id") for state in ("idle", "ingesting")},
    }
    rates = {"E, 8": 200.0, "B, 8": 800.0, "ours, 8": 144.0}
    for name, value in values.items():
        result.figure(f"{name}: median", unit="ms").values += [value, value]
        result.figure(f"{name}: p99", unit="ms").values += [2 * value, 2 * value]
    for name, value in rates.items():
        result.figure(f"{name}: rate").values += [value, value]
    page = fast(result)
    assert "5.4 - 5 = 0.40 ms | 0.50 ms |" in page
    assert "B + E + 1 = 7.00 ms |" in page
    assert "| eight clients, rate | 144 (144 to 144) /s | 0.90 of 1/(1/B + 1/E); 0.75 |" in page


def test_the_drawn_catalog_has_what_its_shapes_say() -> None:
    looks = Looks(3000, 8)
    for each in looks.shapes():
        assert each.passes.shape == (3000,)
        assert each.share > 0 or each.name == "AND at 0.5%", each  # few styles are drawn for so few
    free = {each.name: each.share for each in looks.shapes() if each.kind == "free"}
    expected = {"none": 1, "20%": 0.2, "AND at 4%": 0.04, "range": 0.2, "any of": 0.4, "exclusion": 0.8}
    assert {name: round(free[name], 1) for name in expected} == {n: round(e, 1) for n, e in expected.items()}


def test_recall_counts_ties_and_never_what_does_not_pass() -> None:
    passes = np.array([True] * 12 + [False])
    scores = np.array([0.9] * 9 + [0.5, 0.5, 0.1, 1.0], dtype=np.float32)
    asked = Shape("none", "free", Filter(), passes)
    assert asked.recall(scores, range(10)) == 1
    assert asked.recall(scores, [*range(9), 10]) == 1
    assert asked.recall(scores, [*range(8), 11, 12]) == 0.8
    assert asked.recall(scores, []) == 0
