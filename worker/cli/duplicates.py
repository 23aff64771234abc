"""`lookalike duplicates`."""

from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.filters import Attribute, Brand, Category, InStock, PriceMax, PriceMin, filter_parameters
from worker.cli.output import AsJson, print_json, print_lines, print_table
from worker.cli.sheet import SHOWN, Sheet, save_sheet

if TYPE_CHECKING:
    from recommender.duplicates import Duplicates, Group, Pair
    from worker.cli.gathering import Gathered
    from worker.cli.query import Api
    from worker.contact_sheet import Row


def duplicates(  # noqa: PLR0917  # typer reads the command line from it
    min_score: Annotated[float, typer.Option(min=0.3, max=1, help="Least cosine of a pair.")] = 0.95,
    limit: Annotated[int, typer.Option(min=1, max=100_000, help="Groups, and pairs, to show, at most.")] = 50,
    exclude_family: Annotated[
        bool, typer.Option("--exclude-family", help="Two of one variant family (group_id) are no pair.")
    ] = False,
    category: Category = None,
    brand: Brand = None,
    price_min: PriceMin = None,
    price_max: PriceMax = None,
    in_stock: InStock = None,
    attribute: Attribute = None,
    sheet: Sheet = None,
    as_json: AsJson = False,
) -> None:
    """Find products that look the same: pairs above a cosine, and the groups that they make.

    Every product is compared with every other, image by image; two count by their best pair of images.
    """
    from recommender.duplicates import find_duplicates, step_count  # noqa: PLC0415
    from worker.cli.gathering import gather  # noqa: PLC0415
    from worker.cli.query import open_api  # noqa: PLC0415
    from worker.progress import progress  # noqa: PLC0415

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
        families = gathered.families if exclude_family else None
        with progress("comparing", step_count(gathered.looks)) as advance:
            found = find_duplicates(
                gathered.looks, min_score=min_score, limit=limit, families=families, advance=advance
            )
        if sheet is not None:
            caption = f"{gathered.encoder} · cosine {min_score:g} or more · {_summary(gathered, found)}"
            shown = found.groups[:limit]
            save_sheet(
                sheet, "What looks the same?", caption, shown, lambda group: _row(api, gathered, group)
            )
    if as_json:
        print_json(_as_json(gathered, found, min_score, limit))
        return
    rows = [(number, *_cells(gathered, group)) for number, group in enumerate(found.groups[:limit], start=1)]
    print_table(("group", "score", "id", "title", "category"), rows)
    print_lines(_summary(gathered, found))
    if len(found.groups) > limit:
        print_lines(f"the best {limit} groups are shown: --limit shows more")


def _as_json(gathered: "Gathered", found: "Duplicates", min_score: float, limit: int) -> dict[str, Any]:
    def pair(one: "Pair") -> dict[str, Any]:
        products = [gathered.products[place] for place in one.products]
        images = [product.images[row] for product, row in zip(products, one.rows, strict=True)]
        return {"score": one.score, "products": [product.id for product in products], "images": images}

    def group(one: "Group") -> dict[str, Any]:
        members = []
        for place, row, score in zip(one.products, one.rows, one.scores, strict=True):
            product = gathered.products[place]
            members.append({**product.as_json(), "image": product.images[row], "score": score})
        return {"score": one.score, "products": members}

    return {
        "encoder": gathered.encoder,
        "min_score": min_score,
        "compared": {"products": len(gathered.products), "images": len(gathered.looks.vectors)},
        "found": {"groups": len(found.groups), "products": _grouped(found), "pairs": found.pair_count},
        "groups": [group(one) for one in found.groups[:limit]],
        "pairs": [pair(one) for one in found.pairs],
    }


def _cells(gathered: "Gathered", group: "Group") -> tuple[str, str, str, str]:
    """A row of the table, a line for each product."""
    products = [gathered.products[place] for place in group.products[:SHOWN]]
    more = len(group.products) - len(products)
    return (
        "\n".join(f"{score:.3f}" for score in group.scores[:SHOWN]),
        "\n".join([*(product.id for product in products), *([f"and {more} more"] if more else [])]),
        "\n".join(product.title or "" for product in products),
        "\n".join(", ".join(product.category) for product in products),
    )


def _row(api: "Api", gathered: "Gathered", group: "Group") -> "Row":
    """A row of the sheet: each product by the image that looks like one of another."""
    from worker.cli.gathering import picture  # noqa: PLC0415
    from worker.contact_sheet import ASKED, PLAIN, Row, Tile  # noqa: PLC0415

    tiles: list[Tile] = []
    for place, row, score in list(zip(group.products, group.rows, group.scores, strict=True))[: SHOWN + 1]:
        product = gathered.products[place]
        frame = PLAIN if tiles else ASKED
        label = f"{score:.3f} {product.title or ''}"
        tiles.append(Tile(picture(api, product, row), product.id, label, frame))
    return Row(f"{len(group.products)} products, {group.score:.3f} or more", tiles[0], tiles[1:])


def _summary(gathered: "Gathered", found: "Duplicates") -> str:
    return (
        f"{_grouped(found)} of {len(gathered.products)} products in {len(found.groups)} groups, "
        f"{found.pair_count} pairs"
    )


def _grouped(found: "Duplicates") -> int:
    return sum(len(group.products) for group in found.groups)
