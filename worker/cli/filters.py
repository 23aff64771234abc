"""Which products a command is about: filters of the query API as options."""

from typing import Annotated, Any

import typer

Category = Annotated[list[str] | None, typer.Option("--category", help="This category or below; repeatable.")]
Brand = Annotated[list[str] | None, typer.Option("--brand", help="This brand; repeatable.")]
PriceMin = Annotated[float | None, typer.Option("--price-min", help="Lowest price.")]
PriceMax = Annotated[float | None, typer.Option("--price-max", help="Highest price.")]
InStock = Annotated[bool | None, typer.Option("--in-stock/--out-of-stock", help="By stock.")]
Attribute = Annotated[
    list[str] | None, typer.Option("--attr", help="NAME=VALUE of a declared attribute; repeatable.")
]


def filter_parameters(*, attribute: list[str] | None, **filters: Any) -> dict[str, Any]:
    """The options that were given, as query parameters."""
    parameters = {name: value for name, value in filters.items() if value not in (None, [])}
    for item in attribute or []:
        name, equals, value = item.partition("=")
        if not equals:
            raise typer.BadParameter(f"--attr {item}: expected NAME=VALUE")
        parameters.setdefault(f"attr.{name}", []).append(value)
    return parameters
