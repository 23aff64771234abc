"""Judged pairs of a CSV: `query_id,product_id[,grade]`, from clicks, co-views or people."""

import csv
from collections import defaultdict
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from math import isfinite
from pathlib import Path

from recommender.errors import InvalidQuery

_NAMES = ("query_id", "product_id")


@dataclass(frozen=True, slots=True)
class JudgedPairs:
    """`right[q][p]` is the grade of product p for who looks at q, by places; `unknown` pairs name others."""

    right: dict[int, dict[int, float]]
    unknown: int


def read_judged(path: Path, ids: Sequence[str]) -> JudgedPairs:
    """Read the pairs of products, whose places `ids` gives.

    Of equal pairs the greatest grade counts. A grade of 0, and a product with itself, say nothing.

    Raises:
        InvalidQuery: a line is malformed, or no pair is of two of these products.
    """
    known = {name: place for place, name in enumerate(ids)}
    right: dict[int, dict[int, float]] = defaultdict(dict)
    unknown = 0
    for asked_id, answer_id, grade in _pairs(path):
        asked, answer = known.get(asked_id), known.get(answer_id)
        if asked is None or answer is None:
            unknown += 1
        elif grade > 0 and asked != answer:
            right[asked][answer] = max(grade, right[asked].get(answer, 0.0))
    if not right:
        raise InvalidQuery(
            "judged", f"{path}: no pair of two products that are evaluated ({unknown} of others)"
        )
    return JudgedPairs(dict(right), unknown)


def _pairs(path: Path) -> Iterator[tuple[str, str, float]]:
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = csv.DictReader(file)
            missing = [name for name in _NAMES if name not in (lines.fieldnames or ())]
            if missing:
                raise _wrong(path, 1, f"the header must name {', '.join(_NAMES)} and may name grade")
            for line in lines:
                yield line["query_id"], line["product_id"], _grade(path, lines.line_num, line.get("grade"))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InvalidQuery("judged", f"{path} can't be read: {error}") from error


def _grade(path: Path, line: int, text: str | None) -> float:
    if not text:
        return 1.0
    try:
        grade = float(text)
    except ValueError:
        grade = -1.0
    if not isfinite(grade) or grade < 0:
        raise _wrong(path, line, f"the grade {text!r} is not a number of 0 or more")
    return grade


def _wrong(path: Path, line: int, reason: str) -> InvalidQuery:
    return InvalidQuery("judged", f"{path} line {line}: {reason}")
