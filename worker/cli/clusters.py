"""`lookalike clusters`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.filters import Attribute, Brand, Category, InStock, PriceMax, PriceMin, filter_parameters
from worker.cli.output import AsJson, print_json, print_lines, print_table
from worker.cli.sheet import SHOWN, Sheet, save_sheet

if TYPE_CHECKING:
    from recommender.clusters import Cluster, Clusters
    from worker.cli.gathering import Gathered
    from worker.cli.query import Api
    from worker.contact_sheet import Row


def clusters(  # noqa: PLR0917  # typer reads the command line from it
    k: Annotated[
        int | None,
        typer.Option("-k", "--k", help="Groups; else that of 2 to 64 which sets looks apart best."),
    ] = None,
    category: Category = None,
    brand: Brand = None,
    price_min: PriceMin = None,
    price_max: PriceMax = None,
    in_stock: InStock = None,
    attribute: Attribute = None,
    sheet: Sheet = None,
    as_json: AsJson = False,
) -> None:
    """Group a category, or whatever the filters say, by looks.

    A group is named by its most central product.
    """
    from recommender.clusters import group_by_looks  # noqa: PLC0415  # scikit-learn: seconds
    from worker.cli.gathering import gather  # noqa: PLC0415
    from worker.cli.query import open_api  # noqa: PLC0415

    filters = filter_parameters(
        category=category,
        brand=brand,
        price_min=price_min,
        price_max=price_max,
        in_stock=in_stock,
        attribute=attribute,
    )
    with open_api() as api:
        gathered = gather(api, filters)
        found = group_by_looks(gathered.looks, k)
        if sheet is not None:
            caption = f"{gathered.encoder} · {_summary(gathered, found)}"
            save_sheet(
                sheet,
                "What looks are there?",
                caption,
                found.groups,
                lambda group: _row(api, gathered, group),
            )
    if as_json:
        print_json(_as_json(gathered, found, k))
        return
    print_table(
        ("group", "products", "likeness", "most central", "title"),
        [
            (number, len(group.products), f"{group.likeness.mean():.3f}", medoid.id, medoid.title or "")
            for number, group in enumerate(found.groups, start=1)
            for medoid in [gathered.products[group.medoid]]
        ],
    )
    print_lines(_summary(gathered, found))


def _as_json(gathered: "Gathered", found: "Clusters", k: int | None) -> dict[str, Any]:
    def group(one: "Cluster") -> dict[str, Any]:
        medoid = gathered.products[one.medoid]
        return {
            "name": medoid.title or medoid.id,
            "medoid": medoid.as_json(),
            "size": len(one.products),
            "likeness": round(float(one.likeness.mean()), 6),
            "products": [gathered.products[place].id for place in one.products],
        }

    return {
        "encoder": gathered.encoder,
        "products": len(gathered.products),
        "k": len(found.groups),
        "k_by": "silhouette" if k is None else "given",
        "silhouette": found.silhouette,
        "clusters": [group(one) for one in found.groups],
    }


def _row(api: "Api", gathered: "Gathered", group: "Cluster") -> "Row":
    """A row of the sheet: the medoid, then products from the likest to the least like it, evenly."""
    import numpy as np  # noqa: PLC0415

    from worker.cli.gathering import picture  # noqa: PLC0415
    from worker.contact_sheet import ASKED, PLAIN, Row, Tile  # noqa: PLC0415

    tiles: list[Tile] = []
    size = len(group.products)
    for at in np.unique(np.linspace(0, size - 1, min(size, SHOWN + 1)).round().astype(int)):
        product = gathered.products[group.products[at]]
        label = f"{group.likeness[at]:.3f} {product.title or ''}"
        tiles.append(Tile(picture(api, product, 0), product.id, label, PLAIN if tiles else ASKED))
    return Row(f"{size} products, {size / len(gathered.products):.0%}", tiles[0], tiles[1:])


def _summary(gathered: "Gathered", found: "Clusters") -> str:
    apart = "" if found.silhouette is None else f", silhouette {found.silhouette:.3f}"
    return f"{len(gathered.products)} products in {len(found.groups)} groups{apart}"
