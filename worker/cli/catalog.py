"""`lookalike refresh`, `reindex` and `rollback`: catalog jobs, handed to the workers."""

import sys
from dataclasses import asdict
from typing import Annotated, Any

import typer

from worker.cli.following import Follow
from worker.cli.id_file import read_ids
from worker.cli.output import AsJson, print_json, print_lines

DropOld = Annotated[
    bool, typer.Option("--drop-old", help="Drop the collection that does not serve, in the end.")
]


def refresh(
    feed: Annotated[
        str, typer.Argument(help="s3://, https:// or file:// URI that LOOKALIKE_FEED__ALLOWED matches.")
    ],
    max_gone: Annotated[
        float | None,
        typer.Option(
            min=0, max=1, help="Share of the index that may go this time; else LOOKALIKE_FEED__MAX_GONE."
        ),
    ] = None,
    *,
    follow: Follow = None,
    as_json: AsJson = False,
) -> None:
    """Have a feed compared with the index, and the difference published."""
    arguments: dict[str, Any] = {"feed": feed} | ({} if max_gone is None else {"max_gone": max_gone})
    trigger("catalog.refresh", arguments, follow=follow, as_json=as_json)


def reindex(
    encoder: Annotated[
        str | None, typer.Option(help="The encoder to embed with; another one than serves is a model swap.")
    ] = None,
    category: Annotated[str | None, typer.Option(help="Only this category and below.")] = None,
    ids: Annotated[list[str] | None, typer.Option("--id", help="Only this product; repeatable.")] = None,
    id_file: Annotated[
        str | None,
        typer.Option("--ids", metavar="FILE", help="Only these products: an id a line; - for stdin."),
    ] = None,
    *,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what a swap takes: hours, memory and storage.")
    ] = False,
    drop_old: DropOld = False,
    follow: Follow = None,
    as_json: AsJson = False,
) -> None:
    """Have products embedded again from what the index knows of them; with another encoder, swap to it.

    With --drop-old alone, drop the collection that does not serve, which ends a swap.
    """
    if sum(given is not None for given in (category, ids, id_file)) > 1:
        raise typer.BadParameter("give one of --category, --id and --ids")
    scoped = any(given is not None for given in (category, ids, id_file))
    if drop_old and encoder is None and not scoped and not dry_run:
        trigger("catalog.drop_old", {}, follow=follow, as_json=as_json)
        return
    if (drop_old or dry_run) and (encoder is None or scoped):
        raise typer.BadParameter("--drop-old and --dry-run are for a swap: give --encoder, and no scope")
    named = read_ids(id_file) if id_file is not None else ids
    scope: dict[str, Any] | None = {"ids": named} if named else None
    if category is not None:
        scope = {"category": category}
    arguments: dict[str, Any] = {"encoder": encoder, "scope": scope}
    if drop_old:
        arguments["drop_old"] = True
    if dry_run:
        arguments["dry_run"] = True
        follow = True  # what it is for is the answer
    trigger("catalog.reindex", arguments, follow=follow, as_json=as_json)


def rollback(
    *,
    drop_old: DropOld = False,
    follow: Follow = None,
    as_json: AsJson = False,
) -> None:
    """Serve again from the collection before the last swap; it has had every event since, too.

    With --drop-old, then drop the swap's collection.
    """
    trigger("catalog.rollback", {"drop_old": drop_old}, follow=follow, as_json=as_json)


def trigger(event_type: str, arguments: dict[str, Any], *, follow: bool | None, as_json: bool) -> None:
    """Publish what asks for a job; where it is followed, return when that has ended, well or not.

    Raises:
        InvalidEvent: the arguments break the wire format.
        typer.Exit: the job that was followed did not come to its end.
    """
    from recommender.events import parse_catalog_job  # noqa: PLC0415
    from worker.cli.broker import celery_app, open_job_book  # noqa: PLC0415
    from worker.cli.following import Triggered, say_end  # noqa: PLC0415
    from worker.cli.following import follow as follow_job  # noqa: PLC0415
    from worker.jobs.book import job_scope  # noqa: PLC0415
    from worker.publish import event_message, publish  # noqa: PLC0415

    job = parse_catalog_job(event_type, arguments)
    app, book = celery_app(), open_job_book()
    asked = Triggered(event_type, job_scope(job), book.now())
    publish(app, event_message(event_type, arguments))
    said: dict[str, Any] = {"published": event_type, "arguments": arguments}
    if follow is None:
        follow = sys.stderr.isatty() and not as_json
    ended = follow_job(book, asked) if follow else None
    if as_json:
        print_json(said | ({"job": asdict(ended)} if ended else {}))
    elif ended:
        print_lines(say_end(ended))
    else:
        print_lines(
            f"published {event_type}; `lookalike jobs` shows how far it is, "
            "what can't be done will be in `lookalike dead-letters list`"
        )
    if ended and ended.state != "done":
        raise typer.Exit(1)
