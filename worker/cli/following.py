"""How far a job of the workers is, shown until it ends: a bar on a terminal, plain lines elsewhere."""

import sys
import time
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Annotated, Protocol

import typer

from worker.cli.letter_table import duration, printable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from rich.console import Console
    from rich.progress import Progress

    from worker.jobs.book import JobBook, JobRecord

Follow = Annotated[
    bool | None,
    typer.Option(help="Show how far the job is until it ends; unless told, where stderr is a terminal."),
]
POLL_S = 0.5
_LINES = 10  # plain lines for each phase whose total is known
_LINE_EVERY_S = 10  # where it isn't


@dataclass(frozen=True, slots=True)
class Triggered:
    """What was asked for: a job of this type and scope that begins at `since` or later (the book's clock)."""

    type: str
    scope: str
    since: float


def follow(book: "JobBook", what: "str | Triggered") -> "JobRecord":
    """Show how far a job is, by its id or by what asked for it, until it ends; returns how it ended.

    A job that already ran when it was asked for is shown, too: the one that was asked for runs after it.

    Raises:
        typer.BadParameter: there is no job of this id.
        BrokerUnavailable: Redis is away; the job does not depend on who follows it.
    """
    job = ""
    with _shown() as view:
        try:
            while True:
                record = _find(book, what)
                if record is not None:
                    job = record.id
                    view.show(record)
                    if not record.is_open and _is_it(record, what):
                        return record
                elif isinstance(what, str):
                    raise typer.BadParameter(f"there is no job {what}; `lookalike jobs` lists them")
                time.sleep(POLL_S)
        except KeyboardInterrupt:
            cancel = f"; `lookalike jobs cancel {job}` ends it" if job else ""
            sys.stderr.write(f"no longer followed; the job goes on{cancel}\n")
            raise typer.Exit(130) from None


def _find(book: "JobBook", what: "str | Triggered") -> "JobRecord | None":
    """The job, or while it has not come, the one that it waits for."""
    if isinstance(what, str):
        return book.get(what)
    same = [one for one in book.list() if (one.type, one.scope) == (what.type, what.scope)]
    covering = [one for one in same if _is_it(one, what)]
    running = [one for one in same if one.state == "running"]
    return min(covering, key=lambda one: one.started_at) if covering else next(iter(running), None)


def _is_it(record: "JobRecord", what: "str | Triggered") -> bool:
    """Whether this run sees all that was there when it was asked for, or was cancelled before it could."""
    return isinstance(what, str) or (record.started_at or record.ended_at) >= what.since


def say_end(record: "JobRecord") -> str:
    """How a job ended, in a line."""
    took = duration(record.ended_at - (record.started_at or record.created_at))
    counts = ", ".join(f"{name} {value}" for name, value in record.report.items() if _is_plain(value))
    said = f"job {record.id} {record.state} in {took}"
    return printable(": ".join(part for part in (said, record.message, counts) if part))


def _is_plain(value: object) -> bool:
    return isinstance(value, int | float | str) and not isinstance(value, bool)


class _View(Protocol):
    def show(self, record: "JobRecord") -> None: ...


@contextmanager
def _shown() -> "Iterator[_View]":
    from rich.console import Console  # noqa: PLC0415

    console = Console(stderr=True)
    if not console.is_terminal:
        yield _Lines()
        return
    with _bar(console) as progress:
        yield _Bar(progress)


def _bar(console: "Console") -> "Progress":
    from rich.progress import BarColumn, Progress, TextColumn  # noqa: PLC0415

    counts = TextColumn("{task.fields[counts]}")
    return Progress(TextColumn("{task.description}", markup=False), BarColumn(), counts, console=console)


class _Bar:
    """One bar, which begins anew with each phase. Rate and time left are the book's."""

    def __init__(self, progress: "Progress") -> None:
        self._progress = progress
        self._task = progress.add_task("waiting for a worker", total=None, counts="")

    def show(self, record: "JobRecord") -> None:
        done, total = record.done, record.total
        if not record.is_open:
            total = done = max(done, 1)
        self._progress.update(
            self._task, description=phase_of(record), total=total, completed=done, counts=counts_of(record)
        )


class _Lines:
    """A line for each state and phase, and in it now and then."""

    def __init__(self) -> None:
        self._said: tuple[object, ...] = ()
        self._line_at = time.monotonic()
        self._ticks = 0

    def show(self, record: "JobRecord") -> None:
        if time.monotonic() - self._line_at > _LINE_EVERY_S:
            self._ticks += 1
        part = record.done * _LINES // record.total if record.total else self._ticks
        if (said := (record.id, record.state, record.phase, part)) == self._said:
            return
        self._said, self._line_at = said, time.monotonic()
        sys.stderr.write(f"{phase_of(record)}: {counts_of(record)}\n")


def phase_of(record: "JobRecord") -> str:
    """What it is at, for people."""
    if record.state == "running":
        return printable(("cancelling " if record.cancelling else "") + (record.phase or "running"))
    return record.state


def counts_of(record: "JobRecord") -> str:
    """How many of how many, how fast, and how long the rest takes."""
    of = "" if record.total is None else f" of {record.total}"
    rate = f", {record.per_s:.0f}/s" if record.per_s else ""
    rest = record.remaining_s if record.state == "running" else None
    left = f", {duration(rest)} left" if rest else ""
    return f"{record.done}{of}{rate}{left}"
