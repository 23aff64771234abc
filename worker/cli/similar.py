"""`lookalike similar`."""

from pathlib import Path
from typing import Annotated, Any
from urllib.parse import quote

import typer

from worker.cli.output import AsJson, print_json, print_table


def similar(  # noqa: PLR0917  # typer reads the command line from it
    product: Annotated[str | None, typer.Argument(help="Id of a product.", metavar="ID")] = None,
    image: Annotated[Path | None, typer.Option(help="A photo.", metavar="PATH")] = None,
    text: Annotated[str | None, typer.Option(help="A text, where the encoder reads it.")] = None,
    limit: Annotated[int, typer.Option(help="Answers, at most.")] = 12,
    category: Annotated[list[str] | None, typer.Option(help="This category or below; repeatable.")] = None,
    brand: Annotated[list[str] | None, typer.Option(help="This brand; repeatable.")] = None,
    price_min: Annotated[float | None, typer.Option(help="Lowest price.")] = None,
    price_max: Annotated[float | None, typer.Option(help="Highest price.")] = None,
    in_stock: Annotated[bool | None, typer.Option("--in-stock/--out-of-stock", help="By stock.")] = None,
    attribute: Annotated[
        list[str] | None, typer.Option("--attr", help="NAME=VALUE of a declared attribute; repeatable.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask what looks like a product, a photo or a text."""
    from worker.cli.query import ask  # noqa: PLC0415

    if sum(given is not None for given in (product, image, text)) != 1:
        raise typer.BadParameter("give exactly one of ID, --image PATH, --text TEXT")
    attributes: dict[str, list[str]] = {}
    for item in attribute or []:
        name, equals, value = item.partition("=")
        if not equals:
            raise typer.BadParameter(f"--attr {item}: expected NAME=VALUE")
        attributes.setdefault(name, []).append(value)
    filters = {
        "category": category,
        "brand": brand,
        "price_min": price_min,
        "price_max": price_max,
        "in_stock": in_stock,
    }
    filters = {name: value for name, value in filters.items() if value not in (None, [])}
    flat = {**filters, **{f"attr.{name}": values for name, values in attributes.items()}, "limit": limit}
    if product is not None:
        answer = _ask_by_product(product, flat)
    elif image is not None:
        answer = _ask_by_photo(image, flat)
    else:
        body = {"text": text, "limit": limit, "filter": {**filters, "attributes": attributes}}
        answer = ask("POST", "/v1/similar", json=body)
    if as_json:
        print_json(answer)
        return
    print_table(
        ("score", "id", "title", "category", "price"),
        [
            (f"{i['score']:.3f}", i["id"], i["title"] or "", _category(i["category"]), _price(i))
            for i in answer["items"]
        ],
    )


def _ask_by_product(product: str, parameters: dict[str, Any]) -> dict[str, Any]:
    from worker.cli.query import ask  # noqa: PLC0415

    return ask("GET", f"/v1/products/{quote(product, safe='')}/similar", params=parameters)


def _ask_by_photo(image: Path, parameters: dict[str, Any]) -> dict[str, Any]:
    from recommender.errors import InvalidQuery  # noqa: PLC0415
    from worker.cli.query import ask  # noqa: PLC0415

    try:
        photo = image.read_bytes()
    except OSError as error:
        raise InvalidQuery("image", f"{image}: {error.strerror}") from error
    fields = {name: value if isinstance(value, list) else str(value) for name, value in parameters.items()}
    return ask("POST", "/v1/similar/image", data=fields, files={"file": (image.name, photo)})


def _category(category: str | list[str]) -> str:
    return category if isinstance(category, str) else ", ".join(category)


def _price(item: dict[str, Any]) -> str:
    return "" if item["price"] is None else f"{item['price']:g} {item['currency'] or ''}".strip()
