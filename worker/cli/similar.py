"""`lookalike similar`."""

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.output import AsJson, print_json, print_lines, print_table

if TYPE_CHECKING:
    from worker.cli.question import Asked


def similar(  # noqa: PLR0917  # typer reads the command line from it
    positive: Annotated[list[str] | None, typer.Argument(help="Ids of products.", metavar="[ID]...")] = None,
    negative: Annotated[list[str] | None, typer.Option(help="Not like this product; repeatable.")] = None,
    image: Annotated[Path | None, typer.Option(help="A photo.", metavar="PATH")] = None,
    image_url: Annotated[str | None, typer.Option(help="A photo, at an allowed address.")] = None,
    text: Annotated[str | None, typer.Option(help="A text, where the encoder reads it.")] = None,
    text_weight: Annotated[
        float | None, typer.Option(help="How far the text moves an image, 0 to 1.")
    ] = None,
    questions: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="Many questions, one a line: an id, or an object as POST /v1/similar takes it. The other "
            "options hold for all of them; prints an answer a line, as JSON.",
        ),
    ] = None,
    limit: Annotated[int, typer.Option(help="Answers, at most.")] = 12,
    offset: Annotated[int | None, typer.Option(help="Answers to skip.")] = None,
    category: Annotated[list[str] | None, typer.Option(help="This category or below; repeatable.")] = None,
    brand: Annotated[list[str] | None, typer.Option(help="This brand; repeatable.")] = None,
    price_min: Annotated[float | None, typer.Option(help="Lowest price.")] = None,
    price_max: Annotated[float | None, typer.Option(help="Highest price.")] = None,
    currency: Annotated[str | None, typer.Option(help="Of the price, like EUR.")] = None,
    in_stock: Annotated[bool | None, typer.Option("--in-stock/--out-of-stock", help="By stock.")] = None,
    duplicate: Annotated[
        bool | None, typer.Option("--duplicate/--no-duplicate", help="Flagged as a duplicate, or not.")
    ] = None,
    attribute: Annotated[
        list[str] | None,
        typer.Option("--attr", help="NAME=VALUE or NAME=MIN..MAX of a declared attribute; repeatable."),
    ] = None,
    exclude_id: Annotated[list[str] | None, typer.Option(help="Not this product; repeatable.")] = None,
    exclude_brand: Annotated[list[str] | None, typer.Option(help="Not this brand; repeatable.")] = None,
    price_within: Annotated[
        float | None, typer.Option(help="Share that a price may differ by from that of the products.")
    ] = None,
    not_dearer: Annotated[bool, typer.Option("--not-dearer", help="Not dearer than the products.")] = False,
    seed_brand: Annotated[
        str | None, typer.Option(help="same: of the products' brands; other: of none of them.")
    ] = None,
    exclude_family: Annotated[
        bool, typer.Option("--exclude-family", help="None of the products' variant families.")
    ] = False,
    min_score: Annotated[float | None, typer.Option(help="Least cosine of an answer.")] = None,
    diversity: Annotated[float | None, typer.Option(help="0: by likeness; 1: by variety.")] = None,
    group: Annotated[bool, typer.Option("--group", help="One product a variant family.")] = False,
    brand_cap: Annotated[int | None, typer.Option(help="Products of one brand, at most.")] = None,
    relax: Annotated[
        list[str] | None,
        typer.Option(help="attributes, price or category: widened where too few are found; repeatable."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Ask what looks like products, a photo or a text, alone or mixed."""
    from worker.cli.question import Asked, ask_many, ask_one  # noqa: PLC0415

    asked = Asked(
        by={
            "positive": positive,
            "negative": negative,
            "image_url": image_url,
            "text": text,
            "text_weight": text_weight,
        },
        filters={
            "category": category,
            "brand": brand,
            "price_min": price_min,
            "price_max": price_max,
            "currency": currency,
            "in_stock": in_stock,
            "duplicate": duplicate,
        },
        attributes=attribute or [],
        excluded={"id": exclude_id, "brand": exclude_brand},
        rules={
            "price_within": price_within,
            "not_dearer": not_dearer or None,
            "seed_brand": seed_brand,
            "exclude_family": exclude_family or None,
            "limit": limit,
            "offset": offset,
            "min_score": min_score,
            "diversity": diversity,
            "group": group or None,
            "brand_cap": brand_cap,
            "relax": relax,
        },
        image=image,
    )
    if questions is not None:
        _refuse_subjects(asked)
        ask_many(questions, asked)
        return
    answer = ask_one(asked)
    if as_json:
        print_json(answer)
        return
    for step in answer["relaxed"]:
        print_lines(f"relaxed: {_relaxed(step)}")
    print_table(
        ("score", "id", "title", "category", "price", "like"),
        [
            (f"{i['score']:.3f}", i["id"], i["title"] or "", _category(i["category"]), _price(i), _match(i))
            for i in answer["items"]
        ],
    )


def _refuse_subjects(asked: "Asked") -> None:
    named = [name for name, value in {**asked.by, "image": asked.image}.items() if value]
    if named:
        raise typer.BadParameter(f"--questions names what is asked by: leave out {', '.join(named)}")


def _relaxed(step: dict[str, Any]) -> str:
    said = ", ".join(f"{name} {value}" for name, value in step.items() if name != "step")
    return f"{step['step']}: {said}"


def _match(item: dict[str, Any]) -> str:
    match = item["match"]
    asked = "photo or text" if match["asked"] is None else f"{match['asked']} image {match['asked_image']}"
    return f"{asked}, by image {match['image']}"


def _category(category: str | list[str]) -> str:
    return category if isinstance(category, str) else ", ".join(category)


def _price(item: dict[str, Any]) -> str:
    return "" if item["price"] is None else f"{item['price']:g} {item['currency'] or ''}".strip()
