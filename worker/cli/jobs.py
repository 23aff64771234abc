"""`lookalike jobs`: what the workers are at, whoever asked for it, and how to end it."""

import json
import sys
import time
from dataclasses import asdict
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.following import counts_of, phase_of
from worker.cli.letter_table import duration, printable
from worker.cli.output import AsJson, print_json, print_lines

if TYPE_CHECKING:
    from collections.abc import Iterable

    from rich.table import Table

    from worker.jobs.book import JobBook, JobRecord

jobs = typer.Typer(help="Refreshes, reindexes and other long work of the workers.")
Id = Annotated[str, typer.Argument(metavar="ID", help="As `lookalike jobs` prints it.")]
WATCH_S = 1.0


@jobs.callback(invoke_without_command=True)
def list_(
    context: typer.Context,
    *,
    watch: Annotated[bool, typer.Option("--watch", help="Go on until interrupted.")] = False,
    limit: Annotated[int, typer.Option(min=1, max=1000, help="Jobs, at most.")] = 20,
    as_json: AsJson = False,
) -> None:
    """List jobs: those that run or wait, then those that ended last."""
    if context.invoked_subcommand is not None:
        return
    from worker.cli.broker import open_job_book  # noqa: PLC0415

    book = open_job_book()
    if watch:
        try:
            _watch(book, limit, as_json=as_json)
        except KeyboardInterrupt:
            return
    records = book.list(limit)
    if as_json:
        print_json([asdict(record) for record in records])
    else:
        _console().print(_table(records, book.now()))


@jobs.command()
def show(job: Id, as_json: AsJson = False) -> None:
    """Print one job with its report, as JSON."""
    del as_json  # it always is
    from worker.cli.broker import open_job_book  # noqa: PLC0415

    record = open_job_book().get(job)
    if record is None:
        raise _unknown(job)
    print_json(asdict(record))


@jobs.command()
def cancel(job: Id, as_json: AsJson = False) -> None:
    """End a job after the part that it is at; what it has done stays."""
    from worker.cli.broker import open_job_book  # noqa: PLC0415

    state = open_job_book().cancel(job)
    if state is None:
        raise _unknown(job)
    if as_json:
        print_json({"id": job, "state": state})
    else:
        lines = {"cancelled": "cancelled", "cancelling": "cancelling: it ends after the part that it is at"}
        print_lines(lines.get(state, f"it has ended already: {state}"))
    if state not in ("cancelled", "cancelling"):
        raise typer.Exit(1)


def _unknown(job: str) -> typer.BadParameter:
    return typer.BadParameter(f"there is no job {printable(job)}; `lookalike jobs` lists them")


def _watch(book: "JobBook", limit: int, *, as_json: bool) -> None:
    """A table that changes on a terminal; elsewhere a line, or a JSON value, for whatever has changed."""
    if as_json or not _console().is_terminal:
        _watch_lines(book, limit, as_json=as_json)
        return
    from rich.live import Live  # noqa: PLC0415

    with Live(console=_console(), auto_refresh=False) as live:
        while True:
            live.update(_table(book.list(limit), book.now()), refresh=True)
            time.sleep(WATCH_S)


def _watch_lines(book: "JobBook", limit: int, *, as_json: bool) -> None:
    said: dict[str, Any] = {}
    while True:
        for record in book.list(limit):
            at = (record.state, record.phase, record.done, record.cancelling)
            if said.get(record.id) != at:
                said[record.id] = at
                line = json.dumps(asdict(record), ensure_ascii=False) if as_json else _line(record)
                sys.stdout.write(f"{line}\n")
        sys.stdout.flush()
        time.sleep(WATCH_S)


def _line(record: "JobRecord") -> str:
    what = (record.id, record.type, printable(record.scope))
    return "  ".join((*what, phase_of(record), counts_of(record)))


def _table(records: "Iterable[JobRecord]", now: float) -> "Table":
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415
    from rich.progress_bar import ProgressBar  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("id", no_wrap=True)
    table.add_column("job", overflow="fold")
    table.add_column("state", overflow="fold")
    table.add_column("done", overflow="fold")
    table.add_column("", width=12)
    table.add_column("last sign", justify="right", no_wrap=True)
    for record in records:
        what = f"{record.type}\n{printable(record.scope)}"
        said = f"{phase_of(record)}\n{printable(record.message)}".strip()
        runs = record.state == "running" and record.total
        bar = ProgressBar(total=record.total, completed=record.done) if runs else ""
        ago = f"{duration(now - record.updated_at)} ago"
        table.add_row(record.id, Text(what), Text(said), counts_of(record), bar, ago)
    return table


def _console() -> Any:
    from rich.console import Console  # noqa: PLC0415

    return Console()
