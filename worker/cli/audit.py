"""`lookalike audit`."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.output import AsJson, print_json, print_lines, print_table

if TYPE_CHECKING:
    from collections.abc import Callable

    from config.settings import Settings
    from worker.audit.repair import Repair
    from worker.audit.report import Report
    from worker.cli.query import Api

THUMBNAIL_PX = 160
_TRIES = 2
"""Pictures of one product that are asked for, at most, until one can be shown."""


def _writable(path: Path | None) -> Path | None:
    """Refuse before the work what could not be written after it."""
    if path is not None and not path.parent.is_dir():
        raise typer.BadParameter(f"{path}: there is no folder {path.parent}")
    return path


Html = Annotated[
    Path | None,
    typer.Option(
        "--html", metavar="PATH", help="Leave the report there, with thumbnails.", callback=_writable
    ),
]


def audit(
    feed: Annotated[
        str | None, typer.Option(help="Feed to compare with; LOOKALIKE_FEED__SCHEDULED unless given.")
    ] = None,
    *,
    repair: Annotated[
        bool, typer.Option("--repair", help="Publish the events that mend what is found.")
    ] = False,
    html: Html = None,
    shared_by: Annotated[
        int, typer.Option(min=1, max=1000, help="Products that may share a picture before it is a finding.")
    ] = 5,
    looks: Annotated[
        bool,
        typer.Option(
            "--looks", help="Also find pictures that look the same in several files; reads all rows."
        ),
    ] = False,
    examples: Annotated[int, typer.Option(min=0, max=1000, help="Examples of each finding, at most.")] = 20,
    thumbnails: Annotated[
        int, typer.Option(min=0, max=100, help="Pictures of each finding in the HTML report, at most.")
    ] = 12,
    as_json: AsJson = False,
) -> None:
    """Compare the index with the feed, the buckets and itself; says what is wrong, and mends it with --repair.

    Exits with 0 if nothing was found, and with 1 if something was, repaired or not; an audit that could not be
    made exits with 1 too, and says why on standard error. Images are listed, never read, but for thumbnails.
    """
    from worker.audit.page import html_of  # noqa: PLC0415
    from worker.audit.report import report_of  # noqa: PLC0415
    from worker.audit.run import Asked  # noqa: PLC0415
    from worker.audit.run import audit as make  # noqa: PLC0415
    from worker.cli.query import open_api  # noqa: PLC0415

    with _settings(repair) as (settings, mending), open_api() as api:
        asked = Asked(feed or settings.feed.scheduled, shared_by, looks, examples)
        with _means(settings, api, mending) as means:
            made = make(asked, means)
        described = _Descriptions(api)
        report = report_of(made, settings.catalog, described.of)
        if html is not None:
            pictures = _pictures(api, described, report, thumbnails)
            html.write_text(html_of(report, pictures), encoding="utf-8", errors="replace")
    if as_json:
        print_json(report)
    else:
        _print(report)
    if not report["clean"]:
        raise typer.Exit(1)
