"""Values of a shop's columns, texts or typed ones, as those that the wire format has."""

import json
import re
from collections.abc import Callable
from contextlib import suppress
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from typing import Any

Convert = Callable[[Any], Any]
"""Of a value that is neither None nor an empty text. Raises ValueError, which says what is expected."""

_EPOCH, _MS = datetime(1970, 1, 1, tzinfo=UTC), timedelta(milliseconds=1)
_WHOLE = re.compile(r"\d{1,16}")
_TRUE = frozenset({"true", "1", "yes", "y", "t", "in stock", "in_stock"})
_FALSE = frozenset({"false", "0", "no", "n", "f", "out of stock", "out_of_stock"})


class Values:
    """Conversions, by field; `separator` is between the items of a list that comes as one text."""

    def __init__(self, separator: str) -> None:
        self._separator = separator
        self._of_field: dict[str, Convert] = {
            "version": version,
            "images": self._images,
            "category": self._texts,
            "price": number,
            "in_stock": flag,
            "attributes": self._attributes,
        }

    def of(self, field: str, attribute: str | None) -> Convert:
        """What converts a field's values, or those of one attribute."""
        return self._attribute if attribute is not None else self._of_field.get(field, text)

    def _items(self, value: Any) -> list[Any]:
        if isinstance(value, list | tuple):
            return [item for item in value if item is not None]
        if isinstance(value, str):
            if value.lstrip().startswith("["):
                return list(json.loads(value))
            return [item for part in value.split(self._separator) if (item := part.strip())]
        raise ValueError(f"{_shown(value)} is no list")

    def _texts(self, value: Any) -> list[str]:
        return [text(item) for item in self._items(value)]

    def _images(self, value: Any) -> list[Any]:
        return [_without_nulls(item) if isinstance(item, dict) else text(item) for item in self._items(value)]

    def _attribute(self, value: Any) -> Any:
        if isinstance(value, str) and self._separator not in value:
            return value
        if isinstance(value, str | list | tuple):
            return self._texts(value)
        if isinstance(value, bool | int | float):
            return value
        if isinstance(value, Decimal):
            return int(value) if value == value.to_integral_value() else float(value)
        return text(value)

    def _attributes(self, value: Any) -> dict[str, Any]:
        if isinstance(value, str):
            value = json.loads(value)
        try:
            found = dict(value)  # a map of Parquet is a list of pairs
        except (TypeError, ValueError) as error:
            raise ValueError(f"{_shown(value)} is no object of attributes") from error
        return {str(key): self._attribute(item) for key, item in found.items() if item is not None}


def text(value: Any) -> str:
    """A text, or what is written in one way only: a whole number, a decimal or a date."""
    if isinstance(value, str):
        return value
    if isinstance(value, bytes):
        return value.decode()
    if isinstance(value, date | datetime):
        return value.isoformat()
    if isinstance(value, int | Decimal) and not isinstance(value, bool):
        return str(value)
    raise ValueError(f"{_shown(value)} is no text")


def number(value: Any) -> float:
    """A number, or a text that says one, with a point before its decimals."""
    if isinstance(value, str | int | float | Decimal) and not isinstance(value, bool):
        with suppress(ValueError, OverflowError):
            return float(value)
    raise ValueError(f"{_shown(value)} is no number like 89.90")


def flag(value: Any) -> bool:
    """A boolean, or what stands for one: 1 or 0, true or false, yes or no, "in stock" or "out of stock"."""
    said = str(value).strip().lower()
    if said in _TRUE:
        return True
    if said in _FALSE:
        return False
    raise ValueError(f"{_shown(value)} is neither true nor false")


def version(value: Any) -> int:
    """A whole number as it is; a date or a time, also as ISO 8601 text, as ms since 1970.

    One that names no zone is in UTC.
    """
    if isinstance(value, str):
        said = value.strip()
        return int(said) if _WHOLE.fullmatch(said) else _ms(_time_of(said))
    if isinstance(value, date):
        return _ms(value)
    if isinstance(value, int | float | Decimal) and not isinstance(value, bool) and value == int(value):
        return int(value)
    raise ValueError(f"{_shown(value)} is neither a whole number nor a time")


def _time_of(said: str) -> datetime:
    try:
        return datetime.fromisoformat(said)
    except ValueError as error:
        raise ValueError(
            f"{_shown(said)} is neither a whole number nor a time like 2024-11-23T08:45:50Z"
        ) from error


def _ms(value: date) -> int:
    moment = value if isinstance(value, datetime) else datetime.combine(value, time())
    zoned = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return (zoned - _EPOCH) // _MS


def _without_nulls(found: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in found.items() if value is not None}


def _shown(value: Any) -> str:
    shown = repr(value)
    return shown if len(shown) <= 80 else f"{shown[:77]}..."
