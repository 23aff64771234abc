from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest
import typer

from worker.cli.letter_filter import LetterFilter, parse_age
from worker.jobs.dead_letters import DeadLetter


def ago(**age: float) -> str:
    return (datetime.now(UTC) - timedelta(**age)).isoformat()


LETTERS = [
    DeadLetter("products.upsert", '{"id": "a"}', "ImageNotFound", "", last_seen=ago(days=3), id="old"),
    DeadLetter("products.upsert", '{"id": "b"}', "ImageNotFound", "", last_seen=ago(hours=3), id="mid"),
    DeadLetter("products.patch", '{"id": "a"}', "InvalidEvent", "", last_seen=ago(minutes=3), id="new"),
]


def ids(chosen: LetterFilter) -> Iterator[str]:
    return (letter.id for letter in chosen.of(LETTERS))


@pytest.mark.parametrize(
    ("chosen", "expected"),
    [
        (LetterFilter(), "old mid new"),
        (LetterFilter(reasons=("ImageNotFound",)), "old mid"),
        (LetterFilter(reasons=("ImageNotFound", "InvalidEvent")), "old mid new"),
        (LetterFilter(products=("a",)), "old new"),
        (LetterFilter(products=("a", "b")), "old mid new"),
        (LetterFilter(products=("c",)), ""),
        (LetterFilter(older_than=timedelta(hours=1)), "old mid"),
        (LetterFilter(newer_than=timedelta(hours=6)), "mid new"),
        (LetterFilter(older_than=timedelta(hours=1), newer_than=timedelta(hours=6)), "mid"),
        (LetterFilter(("ImageNotFound",), ("a",), newer_than=timedelta(days=1)), ""),
        (LetterFilter(("ImageNotFound",), ("a",), older_than=timedelta(days=1)), "old"),
    ],
)
def test_all_that_is_given_must_hold(chosen: LetterFilter, expected: str) -> None:
    assert list(ids(chosen)) == expected.split()
    assert chosen.given == (chosen != LetterFilter())


def test_an_age_has_a_unit() -> None:
    expected = {"30s": 30, "15m": 900, "12h": 43200, "7d": 604800, "0s": 0}
    assert {text: parse_age(text).total_seconds() for text in expected} == expected


@pytest.mark.parametrize("text", ["", "7", "d", "7w", "-7d", "1.5h", "7d ", "36501d", "999999999d", "٣d"])
def test_what_is_no_age_is_refused(text: str) -> None:
    with pytest.raises(typer.BadParameter):
        parse_age(text)
