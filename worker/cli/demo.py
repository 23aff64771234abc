"""`lookalike demo`."""

import signal
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from types import FrameType
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.output import AsJson, print_json, print_lines, print_table

if TYPE_CHECKING:
    from worker.demo.quality import Precision
    from worker.demo.questions import Asked
    from worker.demo.run import Demo

SHEET = Path("demo/similar.png")
SHOWN = 3  # answers of a question in the table; the sheet has more


def demo(
    products: Annotated[int, typer.Option(min=60, max=20_000, help="Products to draw.")] = 640,
    keep: Annotated[bool, typer.Option("--keep", help="Go on serving, gallery included.")] = False,
    as_json: AsJson = False,
) -> None:
    """Draw a catalog, publish it through Celery, wait until it is searchable, and ask.

    Leaves demo/similar.png. Fails if anything was lost, or if answers are no better than chance or
    than colour histograms.
    """
    from worker.demo.run import running_demo  # noqa: PLC0415

    signal.signal(signal.SIGTERM, _leave)
    with running_demo(products, SHEET) as result:
        problems = result.problems()
        if as_json:
            print_json(_as_json(result))
        else:
            _print(result)
        for problem in problems[:20]:
            typer.echo(f"lookalike: {problem}", err=True)
        if keep:
            _serve(result.url)
    if problems:
        raise typer.Exit(1)


def _leave(number: int, _frame: FrameType | None) -> None:
    """End by an exception, so that what was started is ended and its folder removed; once is enough."""
    signal.signal(signal.SIGTERM, signal.SIG_IGN)
    sys.exit(128 + number)


def _serve(url: str) -> None:
    typer.echo(f"serving {url} until Ctrl+C", err=True)
    with _until_interrupted():
        Event().wait()


@contextmanager
def _until_interrupted() -> Iterator[None]:
    try:
        yield
    except KeyboardInterrupt:
        typer.echo("ending", err=True)


def _as_json(result: "Demo") -> dict[str, Any]:
    return {
        "products": result.products,
        "images": result.images,
        "indexed": result.indexed,
        "failed": len(result.failures),
        "seconds": round(result.seconds, 2),
        "images_per_s": round(_rate(result), 1),
        "encoder": result.encoder,
        "device": result.device,
        "precision_at_10": _precision(result.precision),
        "chance": _precision(result.chance),
        "colour_histogram": _precision(result.histogram),
    }


def _print(result: "Demo") -> None:
    print_table(("question", "score", "answer", "right"), map(_question, result.asked))
    print_lines(
        "",
        f"{result.indexed} of {result.products} products searchable, {len(result.failures)} failed",
        f"{result.images} images in {result.seconds:.1f} s, {_rate(result):.1f}/s, "
        f"with {result.encoder} on {result.device}",
        "",
    )
    print_table(
        (f"precision@10 of {result.questions} questions", "category", "category and colour"),
        [
            (name, f"{precision.category:.3f}", f"{precision.category_colour:.3f}")
            for name, precision in (
                ("answers of the index", result.precision),
                ("colour histograms", result.histogram),
                ("chance", result.chance),
            )
        ],
    )
    print_lines("", f"questions and answers: {SHEET}")


def _question(asked: "Asked") -> tuple[str, str, str, str]:
    """A row of the table, several lines high: one for each of the best answers."""
    from worker.demo.questions import without_brand  # noqa: PLC0415

    best = asked.items[:SHOWN]
    return (
        f"{asked.question}\n{without_brand(asked.title)}",
        "\n".join(f"{item.score:.3f}" for item in best),
        "\n".join(without_brand(item.title) for item in best),
        "\n".join("yes" if asked.is_right(item) else "no" for item in best),
    )


def _rate(result: "Demo") -> float:
    return result.images / max(result.seconds, 1e-9)


def _precision(precision: "Precision") -> dict[str, float]:
    return {
        "category": round(precision.category, 4),
        "category_colour": round(precision.category_colour, 4),
    }
