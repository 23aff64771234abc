"""Filters on the wire: query parameters, form fields and JSON objects."""

from collections.abc import Mapping, Sequence
from dataclasses import replace
from math import isfinite, nan
from typing import Annotated, Any

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Discriminator,
    Field,
    StrictBool,
    StrictFloat,
    StrictInt,
    Tag,
)

from recommender.catalog import MAX_ATTRIBUTE_LENGTH, CategoryPath, Filter, Range, Scalar
from recommender.errors import InvalidQuery
from recommender.question import POOL

_ATTRIBUTE, _MIN, _MAX = "attr.", ".min", ".max"

ATTRIBUTE_PARAMETER = {
    "parameters": [
        {
            "name": "attr.NAME",
            "in": "query",
            "required": False,
            "schema": {"type": "array", "items": {"type": "string"}},
            "description": "value of the declared attribute NAME, like attr.colour=black; repeatable",
        },
        *(
            {
                "name": f"attr.NAME.{bound}",
                "in": "query",
                "required": False,
                "schema": {"type": "number"},
                "description": f"{what} of the declared attribute NAME, like attr.heel_cm.{bound}=4",
            }
            for bound, what in (("min", "least number"), ("max", "greatest number"))
        ),
    ]
}
"""The part of an OpenAPI description that a model can't say."""


def as_list(value: Any) -> Any:
    """One text as a list of it."""
    return [value] if isinstance(value, str) else value


# One text stands for a list of it; the description says so.
_Name = Annotated[str, Field(max_length=1024)]
_NameOrNames = _Name | Annotated[list[_Name], Field(max_length=64)]
_PathOrPaths = CategoryPath | Annotated[list[CategoryPath], Field(max_length=64)]
Names = Annotated[list[_Name], BeforeValidator(as_list, json_schema_input_type=_NameOrNames)]
Paths = Annotated[list[CategoryPath], BeforeValidator(as_list, json_schema_input_type=_PathOrPaths)]
Bound = Annotated[float, Field(ge=0, le=1e12, allow_inf_nan=False)]
_Value = Annotated[str, Field(max_length=MAX_ATTRIBUTE_LENGTH)] | StrictInt | StrictFloat | StrictBool
_Values = Annotated[list[_Value], Field(min_length=1, max_length=256)]
AttributeFilter = Annotated[
    _Values,
    BeforeValidator(
        lambda value: value if isinstance(value, list) else [value], json_schema_input_type=_Value | _Values
    ),
]
Number = Annotated[float, Field(strict=True, allow_inf_nan=False)]
Id = Annotated[str, Field(min_length=1, max_length=128)]
_ExcludedIds = Annotated[list[Id], Field(max_length=POOL)]
ExcludedIds = Annotated[_ExcludedIds, BeforeValidator(as_list, json_schema_input_type=Id | _ExcludedIds)]


class _Filters(BaseModel):
    category: Paths = Field([], description="any of these categories, or below; repeatable", max_length=64)
    brand: Names = Field([], description="any of these brands; repeatable", max_length=64)
    price_min: Bound | None = Field(None, description="lowest price, inclusive")
    price_max: Bound | None = Field(None, description="highest price, inclusive")
    currency: Annotated[str, Field(pattern=r"^[A-Z]{3}$")] | None = Field(
        None, description="of the price, like EUR; any currency where it is left out"
    )
    in_stock: bool | None = Field(None, description="only what is, or is not, in stock")
    duplicate: bool | None = Field(
        None, description="only what was, or was not, flagged as a duplicate when its photos came"
    )

    def _where(
        self,
        attributes: Mapping[str, tuple[Scalar, ...]],
        ranges: Mapping[str, Range],
        exclude_ids: Sequence[str],
        exclude_brands: Sequence[str],
    ) -> Filter:
        return Filter(
            category=tuple(self.category),
            brand=tuple(self.brand),
            price_min=self.price_min,
            price_max=self.price_max,
            currency=self.currency,
            in_stock=self.in_stock,
            duplicate=self.duplicate,
            attributes=attributes,
            ranges=ranges,
            exclude_ids=tuple(exclude_ids),
            exclude_brands=tuple(exclude_brands),
        )


class FlatFilters(_Filters):
    """Filters as query parameters or form fields; `attr.NAME=VALUE` filters on a declared attribute."""

    model_config = ConfigDict(extra="allow")

    exclude_id: ExcludedIds = Field([], description="not these products; repeatable")
    exclude_brand: Names = Field([], description="not these brands; repeatable", max_length=64)

    def where(self) -> Filter:
        """The filter that the parameters say.

        Raises:
            InvalidQuery: one is unknown, or no number; it is named.
        """
        attributes: dict[str, tuple[Scalar, ...]] = {}
        ranges: dict[str, Range] = {}
        for name, value in (self.model_extra or {}).items():
            if not name.startswith(_ATTRIBUTE):
                raise InvalidQuery(name, f"unknown parameter; known are {', '.join(self._known())}")
            values = value if isinstance(value, list) else [value]
            if not all(isinstance(text, str) for text in values):
                raise InvalidQuery(name, "must be a text, not a file")
            attribute = name.removeprefix(_ATTRIBUTE)
            if attribute.endswith(_MIN):
                attribute, bound = attribute.removesuffix(_MIN), {"low": _number(name, values)}
            elif attribute.endswith(_MAX):
                attribute, bound = attribute.removesuffix(_MAX), {"high": _number(name, values)}
            else:
                attributes[attribute] = tuple(values)  # the index compares as text
                continue
            ranges[attribute] = replace(ranges.get(attribute, Range()), **bound)
        return self._where(attributes, ranges, self.exclude_id, self.exclude_brand)

    @classmethod
    def _known(cls) -> list[str]:
        return [*cls.model_fields, *(f"{_ATTRIBUTE}NAME{bound}" for bound in ("", _MIN, _MAX))]


def _number(name: str, values: Sequence[str]) -> float:
    try:
        (text,) = values
        number = float(text)
    except ValueError:
        number = nan
    if not isfinite(number):
        raise InvalidQuery(name, "must be one number")
    return number


class RangeBody(BaseModel):
    """Bounds of a number, both inclusive."""

    model_config = ConfigDict(extra="forbid")

    min: Number | None = None
    max: Number | None = None


AttributeBody = Annotated[
    Annotated[RangeBody, Tag("(range)")] | Annotated[AttributeFilter, Tag("(values)")],
    Discriminator(lambda said: "(range)" if isinstance(said, dict | RangeBody) else "(values)"),
]


class FilterBody(_Filters):
    """Filters as a JSON object. Any value of one field may match, all fields must."""

    model_config = ConfigDict(extra="forbid")

    attributes: dict[str, AttributeBody] = Field(
        {},
        max_length=64,
        description="declared attributes: each a value, a list of values, or an object of min and max",
    )
    exclude_ids: ExcludedIds = Field([], description="not these products")
    exclude_brands: Names = Field([], description="not these brands", max_length=64)

    def where(self) -> Filter:
        """The filter that the object says."""
        attributes: dict[str, tuple[Scalar, ...]] = {}
        ranges: dict[str, Range] = {}
        for name, said in self.attributes.items():
            if isinstance(said, RangeBody):
                ranges[name] = Range(said.min, said.max)
            else:
                attributes[name] = tuple(said)
        return self._where(attributes, ranges, self.exclude_ids, self.exclude_brands)
