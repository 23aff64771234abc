from datetime import UTC, date, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest

from worker.feeds.values import Values

VALUES = Values("|")
NEW_YEAR_MS = 1_704_067_200_000


@pytest.mark.parametrize(
    ("field", "value", "found"),
    [
        ("id", 7, "7"),
        ("title", "Ankle boot", "Ankle boot"),
        ("title", b"Stiefel \xc3\xbc", "Stiefel ü"),
        ("title", date(2024, 1, 1), "2024-01-01"),
        ("version", 1732350000000, 1732350000000),
        ("version", "1732350000000", 1732350000000),
        ("version", 1732350000000.0, 1732350000000),
        ("version", Decimal("1732350000000.00"), 1732350000000),
        ("version", date(2024, 1, 1), NEW_YEAR_MS),
        ("version", datetime(2024, 1, 1), NEW_YEAR_MS),  # noqa: DTZ001  # a feed may leave the zone out
        ("version", datetime(2024, 1, 1, 2, tzinfo=timezone(timedelta(hours=2))), NEW_YEAR_MS),
        ("version", datetime(2024, 1, 1, 0, 0, 0, 5999, tzinfo=UTC), NEW_YEAR_MS + 5),
        ("version", "2024-01-01", NEW_YEAR_MS),
        ("version", "2024-01-01T02:00:00+02:00", NEW_YEAR_MS),
        ("version", " 2024-01-01 00:00:00Z ", NEW_YEAR_MS),
        ("images", "s3://b/1.jpg | s3://b/2.jpg|", ["s3://b/1.jpg", "s3://b/2.jpg"]),
        (
            "images",
            '["s3://b/1.jpg", {"uri": "s3://b/2|3.jpg"}]',
            ["s3://b/1.jpg", {"uri": "s3://b/2|3.jpg"}],
        ),
        ("images", [{"uri": "s3://b/1.jpg", "role": None}, None], [{"uri": "s3://b/1.jpg"}]),
        ("category", "women/shoes|sale", ["women/shoes", "sale"]),
        ("category", ["women/shoes"], ["women/shoes"]),
        ("price", "89.90", 89.9),
        ("price", 89, 89.0),
        ("price", Decimal("89.90"), 89.9),
        ("in_stock", "In Stock", True),
        ("in_stock", 0, False),
        ("in_stock", True, True),
        ("attributes", '{"colour": "black", "gone": null}', {"colour": "black"}),
        ("attributes", [("sizes", ["38", "39"])], {"sizes": ["38", "39"]}),
        ("attributes", {"weight": Decimal("1.50")}, {"weight": 1.5}),
    ],
)
def test_a_value_becomes_what_the_field_holds(field: str, value: Any, found: Any) -> None:
    converted = VALUES.of(field, None)(value)
    assert converted == found
    assert type(converted) is type(found)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        ("007", "007"),
        ("38|39", ["38", "39"]),
        (["38", "39"], ["38", "39"]),
        (Decimal("2.00"), 2),
        (1.5, 1.5),
        (True, True),
        (date(2024, 1, 1), "2024-01-01"),
    ],
)
def test_an_attribute_keeps_its_kind(value: Any, found: Any) -> None:
    converted = VALUES.of("attributes.x", "x")(value)
    assert (converted, type(converted)) == (found, type(found))


@pytest.mark.parametrize(
    ("field", "value", "said"),
    [
        ("id", 1.5, "no text"),
        ("id", True, "no text"),
        ("title", b"\xff", "utf-8"),
        ("version", "yesterday", "neither a whole number nor a time like 2024"),
        ("version", 1.5, "neither a whole number nor a time"),
        ("version", True, "neither a whole number nor a time"),
        ("price", "89,90", "no number like 89.90"),
        ("price", "x" * 200, r"'x+\.\.\. is no number"),
        ("price", True, "no number"),
        ("in_stock", "maybe", "neither true nor false"),
        ("images", 7, "no list"),
        ("images", "[1", "delimiter"),
        ("category", [["nested"]], "no text"),
        ("attributes", "[1]", "no object of attributes"),
        ("attributes", "no json", "Expecting value"),
    ],
)
def test_what_a_field_can_not_hold_is_said(field: str, value: Any, said: str) -> None:
    with pytest.raises(ValueError, match=said):
        VALUES.of(field, None)(value)


def test_a_number_that_is_no_version() -> None:
    with pytest.raises((ValueError, ArithmeticError)):
        VALUES.of("version", None)(float("inf"))
