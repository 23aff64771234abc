"""`lookalike refresh` and `lookalike reindex`: catalog jobs, handed to the workers."""

from typing import Annotated, Any

import typer

from worker.cli.output import AsJson, print_json, print_lines


def refresh(
    feed: Annotated[str, typer.Argument(help="s3:// or file:// URI that LOOKALIKE_FEED__ALLOWED matches.")],
    as_json: AsJson = False,
) -> None:
    """Have a feed read and its products published."""
    _publish("catalog.refresh", {"feed": feed}, as_json=as_json)


def reindex(
    encoder: Annotated[str | None, typer.Option(help="The encoder that serves; for certainty.")] = None,
    category: Annotated[str | None, typer.Option(help="Only this category and below.")] = None,
    ids: Annotated[list[str] | None, typer.Option("--id", help="Only this product; repeatable.")] = None,
    as_json: AsJson = False,
) -> None:
    """Have products embedded again from what the index knows of them."""
    if category and ids:
        raise typer.BadParameter("give --category or --id, not both")
    scope: dict[str, Any] | None = {"ids": ids} if ids else None
    if category:
        scope = {"category": category}
    _publish("catalog.reindex", {"encoder": encoder, "scope": scope}, as_json=as_json)


def _publish(job: str, arguments: dict[str, Any], *, as_json: bool) -> None:
    from recommender.events import parse_catalog_job  # noqa: PLC0415
    from worker.cli.broker import celery_app  # noqa: PLC0415
    from worker.publish import event_message, publish  # noqa: PLC0415

    parse_catalog_job(job, arguments)
    publish(celery_app(), event_message(job, arguments))
    if as_json:
        print_json({"published": job, "arguments": arguments})
    else:
        print_lines(f"published {job}; what can't be done will be in `lookalike dead-letters list`")
