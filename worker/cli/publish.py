"""`lookalike publish`."""

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.output import AsJson, print_json, print_lines

if TYPE_CHECKING:
    from worker.feeds.record import Record


def publish(
    feed: Annotated[
        str,
        typer.Argument(
            help="JSON Lines, CSV or Parquet: a file, a folder of them, or - for JSON Lines on stdin."
        ),
    ],
    bulk: Annotated[bool, typer.Option("--bulk", help="Use the queue that never delays others.")] = False,
    as_json: AsJson = False,
) -> None:
    """Publish a feed's products through Celery, 256 a message."""
    from recommender.events import MAX_DOCUMENTS  # noqa: PLC0415
    from worker.celery import BULK  # noqa: PLC0415
    from worker.cli.broker import celery_app, load_settings_with_broker  # noqa: PLC0415
    from worker.feeds.open import open_path  # noqa: PLC0415
    from worker.publish import batches, event_message  # noqa: PLC0415
    from worker.publish import publish as send  # noqa: PLC0415

    app, started = celery_app(), time.monotonic()
    refused: list[dict[str, Any]] = []
    published = messages = 0
    with (
        open_path(feed, load_settings_with_broker().feed) as records,
        _progress(records.size_bytes) as show,
    ):
        for batch in batches(records, lambda record: record.size_bytes, MAX_DOCUMENTS):
            documents = [record.document for record in batch if record.document is not None]
            refused += [_refusal(record) for record in batch if record.document is None]
            if documents:
                messages += send(app, event_message("products.upsert", documents, BULK if bulk else None))
            published += len(documents)
            show(records.read_bytes, published)
    seconds = time.monotonic() - started
    if as_json:
        counts = {"published": published, "messages": messages, "refused": refused}
        print_json({**counts, "seconds": round(seconds, 3)})
    else:
        print_lines(f"published {published} products in {messages} messages, {seconds:.1f} s")
        for item in refused:
            sys.stderr.write(f"lookalike: {item['reason']}\n")
    if refused:
        raise typer.Exit(1)


def _refusal(record: "Record") -> dict[str, Any]:
    assert record.error is not None
    return {"line": record.number, "reason": str(record.complaint(record.error))}


@contextmanager
def _progress(size: int | None) -> Iterator[Callable[[int, int], None]]:
    """A bar with rate and time left on a terminal, nothing elsewhere."""
    from rich.console import Console  # noqa: PLC0415
    from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn  # noqa: PLC0415

    columns = (
        TextColumn("publishing"),
        BarColumn(),
        TextColumn("{task.fields[products]} products, {task.fields[rate]:.0f}/s"),
        TimeRemainingColumn(),
    )
    started = time.monotonic()
    console = Console(stderr=True)
    with Progress(*columns, console=console, transient=True, disable=not console.is_terminal) as progress:
        task = progress.add_task("publishing", total=size, products=0, rate=0.0)

        def show(read_bytes: int, products: int) -> None:
            rate = products / max(time.monotonic() - started, 1e-9)
            progress.update(task, completed=read_bytes, products=products, rate=rate)

        yield show
