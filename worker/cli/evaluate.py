"""`lookalike evaluate`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.filters import Attribute, Brand, Category, InStock, PriceMax, PriceMin, filter_parameters
from worker.cli.output import AsJson, print_json, print_lines, print_table
from worker.cli.sheet import MOST_ROWS, Sheet, save_sheet

if TYPE_CHECKING:
    from worker.evaluation.report import Evaluation

_METRICS = ("R@1", "R@10", "MRR", "nDCG@10")


def evaluate(  # noqa: PLR0917  # typer reads the command line from it
    judged: Annotated[
        Path | None,
        typer.Option(
            help="CSV of judged pairs, query_id,product_id[,grade]: these are right.", metavar="FILE"
        ),
    ] = None,
    photos: Annotated[
        Path | None,
        typer.Option(
            help="Evaluate the encoder on these labelled photos, one folder a label, and not on the catalog.",
            metavar="FOLDER",
        ),
    ] = None,
    against_encoder: Annotated[
        str | None, typer.Option(help="Compare with this encoder: the images are embedded again, here.")
    ] = None,
    against_weights: Annotated[
        Path | None, typer.Option(help="Weights of that encoder; the registry's own when not given.")
    ] = None,
    against_storage: Annotated[
        str | None,
        typer.Option(help="Compare with rows stored as float32, float16, int8 or turboquant."),
    ] = None,
    against_search: Annotated[
        str | None,
        typer.Option(help="Compare with a Qdrant server's search: default, exact, graph:EF or acorn:EF."),
    ] = None,
    against_collection: Annotated[
        str | None, typer.Option(help="Compare with another collection of the Qdrant server, by fingerprint.")
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=2, help="Products, at most: a random sample of those that match.")
    ] = None,
    questions: Annotated[
        int, typer.Option(min=1, max=1_000_000, help="Questions, at most: a random sample.")
    ] = 2000,
    seed: Annotated[int, typer.Option(min=0, help="Of what is drawn by chance.")] = 0,
    category: Category = None,
    brand: Brand = None,
    price_min: PriceMin = None,
    price_max: PriceMax = None,
    in_stock: InStock = None,
    attribute: Attribute = None,
    sheet: Sheet = None,
    as_json: AsJson = False,
) -> None:
    """Measure how good answers are, by the catalog's own images, and compare two ways to answer.

    A product's other images, and those of its variants (group_id), are what is right. --sheet leaves pictures
    of the biggest changes between the two ways, before and after.
    """
    from config.settings import load_settings  # noqa: PLC0415
    from recommender.index.storage import STORAGES  # noqa: PLC0415
    from worker.evaluation.run import Order, evaluated  # noqa: PLC0415

    filters = filter_parameters(
        category=category,
        brand=brand,
        price_min=price_min,
        price_max=price_max,
        in_stock=in_stock,
        attribute=attribute,
    )
    others = (against_encoder, against_storage, against_search, against_collection)
    if photos is not None and (filters or judged):
        raise typer.BadParameter("--photos are no products: no filters, and no --judged pairs")
    if sum(other is not None for other in others) > 1:
        raise typer.BadParameter("--against-... compares with one other way: give one of them")
    if photos is not None and (against_search or against_collection):
        raise typer.BadParameter("--photos are in no index: compare another encoder or storage")
    if against_storage is not None and against_storage not in STORAGES:
        raise typer.BadParameter(f"--against-storage must be one of {', '.join(STORAGES)}")
    if against_weights is not None and against_encoder is None:
        raise typer.BadParameter("--against-weights are of an encoder: name it by --against-encoder")
    order = Order(
        filters=filters,
        limit=limit,
        questions=questions,
        seed=seed,
        judged=judged,
        photos=photos,
        encoder=against_encoder,
        weights=None if against_weights is None else str(against_weights),
        storage=next((one for one in STORAGES if one == against_storage), None),
        search=against_search,
        collection=against_collection,
    )
    with evaluated(order, load_settings()) as evaluation:
        if sheet is not None:
            _save_changes(sheet, evaluation)
    if as_json:
        print_json(evaluation.as_json(MOST_ROWS))
    else:
        _print(evaluation)


def _save_changes(path: Path, evaluation: "Evaluation") -> None:
    """Two rows a question: before, after; one where there is only one way."""
    changed = evaluation.changed.tolist()
    ways = [evaluation.before, *([evaluation.after] if evaluation.after else [])]
    shown = [(question, way) for question in changed[: MOST_ROWS // 2] for way in ways]
    caption = f"{' against '.join(way.name for way in ways)} · {len(changed)} answers changed · green: right"
    save_sheet(path, "What changed?", caption, shown, evaluation.pictures)


def _print(evaluation: "Evaluation") -> None:
    print_table(("category", "questions", *_METRICS), evaluation.table())
    ways = [evaluation.before.name, *([evaluation.after.name, "change"] if evaluation.after else [])]
    print_lines(f"in each cell: {', '.join(ways)}", evaluation.summary(), *evaluation.notes)
