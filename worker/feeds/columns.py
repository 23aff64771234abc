"""From a shop's columns to product documents: names by the settings' mapping, values by the field's type."""

from collections.abc import Collection, Iterator, Sequence
from math import isnan
from typing import Any, NamedTuple, Protocol

from config.feed import FeedSettings
from recommender.errors import FeedError, InvalidEvent
from recommender.events import Upsert
from worker.feeds.record import Place, Record
from worker.feeds.values import Convert, Values

FIELDS = tuple(Upsert.model_fields)
_REQUIRED = ("id", "images", "category")  # a version may be the feed's
_ATTRIBUTE = "attributes."
_NO_VERSION = (
    "no version, and its store doesn't say when the feed was written; name a column that grows with "
    "every change of a product in LOOKALIKE_FEED__COLUMNS"
)


class MakeRecord(Protocol):
    """Makes a record of a JSON value, or of a table's row."""

    def __call__(self, raw: Any, number: int, after: Place, uri: str, line: bytes | None = None) -> Record:
        """`line` is how it lies in the feed; without one, it lies there as the columns that `raw` holds."""


class Columns:
    """What the settings and the feed's time say of all parts of a feed.

    A JSON object is a document as it is, unless the settings map columns. Else every field has the column
    that the settings name or, without one, the column of its own name (`attributes.KEY` is one attribute);
    all others are left out.

    Args:
        settings: the mapping, and what separates the items of a list in a text.
        modified_ms: the version of a record in a feed that has no such column; ms since 1970.
    """

    def __init__(self, settings: FeedSettings, modified_ms: int | None) -> None:
        self._mapping = settings.columns
        self._taken = frozenset(settings.columns.values())
        self._values = Values(settings.separator)
        self._modified_ms = modified_ms

    def of_json(self) -> MakeRecord:
        """For JSON values: each may have any fields."""
        if not self._mapping:
            return self._as_it_is
        return Rows(list(self._used(FIELDS)), self._modified_ms)

    def of_table(self, names: Sequence[str], uri: str) -> "Rows":
        """For rows as dictionaries that all have these columns.

        Raises:
            FeedError: a field that a product needs, or that the settings map, has no column, or one that is
                there twice; or no version can be given.
        """
        used = list(self._used(names))
        needed = {*self._taken, *(name for name in _REQUIRED if name not in self._mapping)}
        if missing := sorted(needed.difference(names)):
            raise FeedError(
                f"{uri}: there is no column {_listed(missing)}, only {_listed(names)}; "
                "say in LOOKALIKE_FEED__COLUMNS which column holds which field"
            )
        if twice := sorted({column.name for column in used if list(names).count(column.name) > 1}):
            raise FeedError(f"{uri}: column {_listed(twice)} is there twice; give each a name of its own")
        if self._modified_ms is None and all(column.field != "version" for column in used):
            raise FeedError(f"{uri}: {_NO_VERSION}")
        return Rows(used, self._modified_ms)

    def _used(self, names: Collection[str]) -> "Iterator[_Column]":
        """The columns that fields come from; first that of the id, which a refused record is known by."""
        own = {name: name for name in names if name not in self._taken and _is_field(name)}
        for field, name in sorted({**own, **self._mapping}.items(), key=lambda item: item[0] != "id"):
            key = field.removeprefix(_ATTRIBUTE) if field.startswith(_ATTRIBUTE) else None
            yield _Column(name, field, key, self._values.of(field, key))

    def _as_it_is(self, raw: Any, number: int, after: Place, uri: str, line: bytes | None = None) -> Record:
        if not isinstance(raw, dict):
            return _no_object(raw, number, after, uri, line)
        found = raw.get("id")
        identity = found if isinstance(found, str) else None
        if "version" not in raw:
            if self._modified_ms is None:
                error = InvalidEvent("version", _NO_VERSION)
                return Record(number, after, uri, identity, None, error, line or raw)
            raw = {**raw, "version": self._modified_ms}
        return Record(number, after, uri, identity, raw, None, line or raw)


class _Column(NamedTuple):
    name: str
    field: str
    key: str | None
    """Of the attribute, where the column is one."""
    convert: Convert


class Rows:
    """Makes records of dictionaries that hold the values by column; a `MakeRecord`."""

    def __init__(self, columns: Sequence[_Column], modified_ms: int | None) -> None:
        self._columns = columns
        self._modified_ms = modified_ms
        self._version = next((column.name for column in columns if column.field == "version"), None)

    @property
    def names(self) -> list[str]:
        """The columns that are used."""
        return [column.name for column in self._columns]

    def __call__(self, raw: Any, number: int, after: Place, uri: str, line: bytes | None = None) -> Record:
        """The record of a row, or of a JSON value that lies in the feed as `line`."""
        if not isinstance(raw, dict):
            return _no_object(raw, number, after, uri, line)
        document: dict[str, Any] = {}
        try:
            for column in self._columns:
                _take(raw, column, document)
            if self._version not in raw:
                document["version"] = self._modified()
        except InvalidEvent as error:
            return Record(number, after, uri, document.get("id"), None, error, line or raw)
        return Record(number, after, uri, document.get("id"), document, None, line or raw)

    def _modified(self) -> int:
        if self._modified_ms is None:
            raise InvalidEvent("version", _NO_VERSION)
        return self._modified_ms


def _take(raw: dict[str, Any], column: _Column, document: dict[str, Any]) -> None:
    name, field, key, convert = column
    value = raw.get(name)
    if value is None or value == "" or (isinstance(value, float) and isnan(value)):  # pandas' nothing
        return
    try:
        found = convert(value)
    except (ValueError, ArithmeticError, RecursionError) as error:
        raise InvalidEvent(field, f"column {name!r}: {error}") from error
    if key is not None:
        found = {key: found}
    elif field != "attributes":
        document[field] = found
        return
    document["attributes"] = {**document.get("attributes", {}), **found}


def _no_object(raw: Any, number: int, after: Place, uri: str, line: bytes | None) -> Record:
    error = InvalidEvent("", f"a document must be an object, not {type(raw).__name__}")
    return Record(number, after, uri, None, None, error, line or b"")


def _is_field(name: str) -> bool:
    return name in FIELDS or (name.startswith(_ATTRIBUTE) and name != _ATTRIBUTE)


def _listed(names: Collection[str]) -> str:
    return ", ".join(repr(name) for name in names)
