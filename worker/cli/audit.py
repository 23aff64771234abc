"""`lookalike audit`."""

from pathlib import Path
from typing import Annotated

import typer

from worker.cli.output import AsJson, print_json


def _writable(path: Path | None) -> Path | None:
    """Refuse before the work what could not be written after it."""
    if path is not None and not path.parent.is_dir():
        raise typer.BadParameter(f"{path}: there is no folder {path.parent}")
    return path


def audit(
    feed: Annotated[
        str | None, typer.Option(help="Feed to compare with; LOOKALIKE_FEED__SCHEDULED unless given.")
    ] = None,
    *,
    repair: Annotated[bool, typer.Option("--repair", help="Publish the events that mend it.")] = False,
    html: Annotated[
        Path | None,
        typer.Option(
            "--html", metavar="PATH", help="Leave the report there, with thumbnails.", callback=_writable
        ),
    ] = None,
    shared_by: Annotated[
        int, typer.Option(min=1, max=1000, help="Products that may share a picture before it is a finding.")
    ] = 5,
    looks: Annotated[
        bool,
        typer.Option("--looks", help="Also find the same picture in several files; reads all embeddings."),
    ] = False,
    examples: Annotated[int, typer.Option(min=0, max=1000, help="Examples of a finding, at most.")] = 20,
    thumbnails: Annotated[
        int, typer.Option(min=0, max=100, help="Pictures of a finding in the HTML report, at most.")
    ] = 12,
    as_json: AsJson = False,
) -> None:
    """Compare the index with the feed, the buckets and itself; say what is wrong, and mend it with --repair.

    Exits with 0 if nothing was found, and with 1 if something was, repaired or not. An audit that could
    not be made exits with 1 too, and says why on standard error. Images are listed and not read, but for
    thumbnails.
    """
    from worker.audit.page import html_of  # noqa: PLC0415
    from worker.audit.report import report_of  # noqa: PLC0415
    from worker.audit.run import Asked  # noqa: PLC0415
    from worker.audit.run import audit as look  # noqa: PLC0415
    from worker.cli.audited import Catalog, open_means, print_report  # noqa: PLC0415
    from worker.cli.query import open_api  # noqa: PLC0415

    with open_api() as api:
        catalog = Catalog(api)
        with open_means(api, repairs=repair) as means:
            asked = Asked(feed or means.settings.feed.scheduled, shared_by, looks, examples)
            report = report_of(look(asked, means), means.settings.catalog, catalog.describe)
        if html is not None:
            page = html_of(report, catalog.pictures(report, thumbnails))
            html.write_text(page, encoding="utf-8", errors="replace")
    if as_json:
        print_json(report)
    else:
        print_report(report)
    if not report["clean"]:
        raise typer.Exit(1)
