"""`lookalike publish`."""

import json
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any, BinaryIO

import typer

from worker.cli.output import AsJson, print_json, print_lines


def publish(
    feed: Annotated[str, typer.Argument(help="JSON Lines file, a product document a line; - for stdin.")],
    bulk: Annotated[bool, typer.Option("--bulk", help="Use the queue that never delays others.")] = False,
    as_json: AsJson = False,
) -> None:
    """Publish a feed's products through Celery, 256 a message."""
    from recommender.events import MAX_DOCUMENTS  # noqa: PLC0415
    from worker.celery import BULK  # noqa: PLC0415
    from worker.cli.broker import celery_app  # noqa: PLC0415
    from worker.publish import event_message  # noqa: PLC0415
    from worker.publish import publish as send  # noqa: PLC0415

    app, started = celery_app(), time.monotonic()
    refused: list[dict[str, Any]] = []
    published = messages = 0

    def flush(batch: list[Any]) -> int:
        message = event_message("products.upsert", list(batch), BULK if bulk else None)
        return send(app, message) if batch else 0

    with _opened(feed) as (lines, size), _progress(size) as advance:
        batch: list[Any] = []
        for number, line in enumerate(lines, start=1):
            try:
                if line.strip():
                    batch.append(json.loads(line))
            except (ValueError, RecursionError) as error:
                refused.append({"line": number, "reason": f"not JSON: {error}"})
            if len(batch) == MAX_DOCUMENTS:
                messages += flush(batch)
                published += len(batch)
                batch = []
            advance(len(line), published + len(batch))
        messages += flush(batch)
        published += len(batch)
    seconds = time.monotonic() - started
    if as_json:
        counts = {"published": published, "messages": messages, "refused": refused}
        print_json({**counts, "seconds": round(seconds, 3)})
    else:
        print_lines(f"published {published} products in {messages} messages, {seconds:.1f} s")
        for item in refused:
            sys.stderr.write(f"lookalike: {feed} line {item['line']}: {item['reason']}\n")
    if refused:
        raise typer.Exit(1)


@contextmanager
def _opened(feed: str) -> Iterator[tuple[BinaryIO, int | None]]:
    """The lines, and how many bytes they are where that is known."""
    from recommender.errors import FeedError  # noqa: PLC0415

    if feed == "-":
        yield sys.stdin.buffer, None
        return
    try:
        file = Path(feed).open("rb")  # noqa: SIM115  # closed below; an error inside is not one of opening
    except OSError as error:
        raise FeedError(f"{feed}: {error.strerror}") from error
    with file:
        yield file, Path(feed).stat().st_size


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

        def advance(read_bytes: int, products: int) -> None:
            rate = products / max(time.monotonic() - started, 1e-9)
            progress.update(task, advance=read_bytes, products=products, rate=rate)

        yield advance
