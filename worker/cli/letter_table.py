"""Dead letters as people read them."""

from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker.jobs.dead_letters import DeadLetter

MESSAGE_CHARACTERS = 300


def print_letters(letters: "Iterable[DeadLetter]") -> None:
    """A table on standard output, as wide as the terminal; ids are whole, to be copied."""
    from rich.box import SIMPLE_HEAD  # noqa: PLC0415  # only where a table is printed
    from rich.console import Console  # noqa: PLC0415
    from rich.table import Table  # noqa: PLC0415
    from rich.text import Text  # noqa: PLC0415

    table = Table(box=SIMPLE_HEAD, pad_edge=False)
    table.add_column("id", no_wrap=True)
    table.add_column("reason, message", overflow="fold")
    table.add_column("product", overflow="fold", max_width=24)
    for name in ("attempts", "first", "last seen"):
        table.add_column(name, justify="right", no_wrap=True)
    for letter in letters:
        ages = (age(letter.first_seen), f"{age(letter.last_seen)} ago")
        said = f"{printable(letter.reason)}\n{printable(letter.message)}"
        product = printable(letter.product)
        table.add_row(letter.id, Text(said), Text(product), str(letter.attempts), *ages)
    Console().print(table)


def age(since: str) -> str:
    """How long ago a time is, in the greatest unit that it fills."""
    return duration((datetime.now(UTC) - datetime.fromisoformat(since)).total_seconds())


def duration(seconds: float) -> str:
    """A duration in the greatest unit that it fills."""
    whole = max(int(seconds), 0)
    for unit, size in (("d", 86400), ("h", 3600), ("m", 60)):
        if whole >= size:
            return f"{whole // size}{unit}"
    return f"{whole}s"


def printable(text: str) -> str:
    """One short line without control characters: a document must not write to an operator's terminal."""
    line = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return line if len(line) <= MESSAGE_CHARACTERS else f"{line[: MESSAGE_CHARACTERS - 1]}…"
