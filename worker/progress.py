"""How far long work is: a bar on a terminal, plain lines otherwise; always on standard error."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

Advance = Callable[[int], None]
_LINES = 4  # plain lines for each piece of work


def say(text: str) -> None:
    """Tell of something that is no progress, such as waiting."""
    sys.stderr.write(f"{text}\n")


@contextmanager
def progress(label: str, total: int) -> Iterator[Advance]:
    """Show work of `total` steps; yields a function that is told of each step done."""
    console = Console(stderr=True)
    with _bar(console, label, total) if console.is_terminal else _plain(label, total) as advance:
        yield advance


@contextmanager
def _bar(console: Console, label: str, total: int) -> Iterator[Advance]:
    columns = (
        TextColumn(f"{label:<10}"),
        BarColumn(),
        MofNCompleteColumn(),
        TextColumn("{task.fields[rate]:.0f}/s"),
        TimeRemainingColumn(),
    )
    started, done = time.monotonic(), 0
    with Progress(*columns, console=console) as bar:
        task = bar.add_task(label, total=total, rate=0.0)

        def advance(steps: int) -> None:
            nonlocal done
            done += steps
            bar.update(task, advance=steps, rate=done / max(time.monotonic() - started, 1e-9))

        yield advance


@contextmanager
def _plain(label: str, total: int) -> Iterator[Advance]:
    started, done = time.monotonic(), 0

    def advance(steps: int) -> None:
        nonlocal done
        before, done = done, done + steps
        if done * _LINES // total > before * _LINES // total:
            rate = done / max(time.monotonic() - started, 1e-9)
            sys.stderr.write(f"{label}: {done} of {total}, {rate:.0f}/s\n")

    yield advance
