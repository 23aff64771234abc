"""`lookalike dead-letters`: look at what failed for good, try it again, or let it go."""

from dataclasses import asdict
from itertools import islice
from typing import TYPE_CHECKING, Annotated

import typer

from worker.cli.output import AsJson, print_json, print_lines, print_table

if TYPE_CHECKING:
    from collections.abc import Iterable

    from worker.jobs.dead_letters import DeadLetter, DeadLetters

dead_letters = typer.Typer(help="What failed for good, with its reason.", no_args_is_help=True)
Ids = Annotated[list[str] | None, typer.Argument(help="Ids, as `list` prints them.", metavar="[ID]...")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]


@dead_letters.command("list")
def list_(
    limit: Annotated[int, typer.Option(min=1, help="Letters, at most; the oldest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List dead letters."""
    from worker.cli.broker import open_dead_letters  # noqa: PLC0415

    letters = open_dead_letters()
    total, shown = letters.count(), list(islice(letters.all(), limit))
    if as_json:
        print_json({"total": total, "letters": [asdict(letter) for letter in shown]})
        return
    rows = [(one.id, one.type, one.reason, one.message, one.attempts) for one in shown]
    print_table(("id", "type", "reason", "message", "attempts"), rows)
    print_lines(f"{len(shown)} of {total}")


@dead_letters.command()
def show(entry: Annotated[str, typer.Argument(metavar="ID")]) -> None:
    """Print one dead letter, as JSON."""
    from worker.cli.broker import open_dead_letters  # noqa: PLC0415

    print_json(asdict(_one(open_dead_letters(), entry)))


@dead_letters.command()
def replay(ids: Ids = None, everything: All = False, as_json: AsJson = False) -> None:
    """Publish dead letters again, and remove those that were published."""
    from recommender.errors import InvalidEvent  # noqa: PLC0415
    from worker.cli.broker import celery_app, open_dead_letters  # noqa: PLC0415
    from worker.publish import publish  # noqa: PLC0415
    from worker.replay import replay_message  # noqa: PLC0415

    letters, app = open_dead_letters(), celery_app()
    replayed: list[str] = []
    refused: list[dict[str, str]] = []
    for letter in _chosen(letters, ids, everything=everything):
        try:
            message = replay_message(letter)
        except InvalidEvent as error:
            refused.append({"id": letter.id, "reason": str(error)})
            continue
        publish(app, message)
        letters.drop([letter.id])
        replayed.append(letter.id)
    if as_json:
        print_json({"replayed": replayed, "refused": refused})
    else:
        print_lines(f"replayed {len(replayed)}", *(f"not {r['id']}: {r['reason']}" for r in refused))
    if refused:
        raise typer.Exit(1)


@dead_letters.command()
def drop(ids: Ids = None, everything: All = False, as_json: AsJson = False) -> None:
    """Remove dead letters for good."""
    from worker.cli.broker import open_dead_letters  # noqa: PLC0415

    letters = open_dead_letters()
    dropped = sum(letters.drop([letter.id]) for letter in _chosen(letters, ids, everything=everything))
    if as_json:
        print_json({"dropped": dropped})
    else:
        print_lines(f"dropped {dropped}")


def _chosen(letters: "DeadLetters", ids: list[str] | None, *, everything: bool) -> "Iterable[DeadLetter]":
    if bool(ids) == everything:
        raise typer.BadParameter("give ids, or --all")
    # Listed before any is replayed: what fails again is appended, and is not for this round.
    return list(letters.all()) if everything else [_one(letters, entry) for entry in ids or []]


def _one(letters: "DeadLetters", entry: str) -> "DeadLetter":
    letter = letters.get(entry)
    if letter is None:
        raise typer.BadParameter(f"there is no dead letter {entry}")
    return letter
