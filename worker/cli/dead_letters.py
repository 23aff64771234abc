"""`lookalike dead-letters`: look at what failed for good, try it again, or let it go."""

from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import TYPE_CHECKING, Annotated, Any

import typer

from worker.cli.letter_filter import LetterFilter, parse_age
from worker.cli.letter_table import print_letters, printable
from worker.cli.output import AsJson, print_json, print_lines

if TYPE_CHECKING:
    from worker.jobs.dead_letters import DeadLetter, DeadLetters

dead_letters = typer.Typer(help="What failed for good, with its reason.", no_args_is_help=True)
Ids = Annotated[list[str] | None, typer.Argument(help="Ids, as `list` prints them.", metavar="ID")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]
Reasons = Annotated[
    list[str] | None, typer.Option("--reason", metavar="CLASS", help="Only for this reason; repeatable.")
]
Products = Annotated[
    list[str] | None, typer.Option("--product", metavar="ID", help="Only of this product; repeatable.")
]
OlderThan = Annotated[
    timedelta | None,
    typer.Option(parser=parse_age, metavar="AGE", help="Only last seen longer ago: 30s, 15m, 12h, 7d."),
]
NewerThan = Annotated[
    timedelta | None,
    typer.Option(parser=parse_age, metavar="AGE", help="Only last seen more lately: 30s, 15m, 12h, 7d."),
]
Limit = Annotated[int | None, typer.Option(min=1, help="Letters, at most; the oldest first.")]
PROGRESS_FROM = 1000
"""Letters from which on it is shown how far a command is."""


@dead_letters.command("list")
def list_(
    *,
    reason: Reasons = None,
    product: Products = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    limit: Annotated[int, typer.Option(min=1, help="Letters, at most; the oldest first.")] = 50,
    as_json: AsJson = False,
) -> None:
    """List dead letters, and count them by reason."""
    from worker.cli.broker import open_dead_letters  # noqa: PLC0415

    chosen = LetterFilter(tuple(reason or ()), tuple(product or ()), older_than, newer_than)
    shown: list[DeadLetter] = []
    reasons: Counter[str] = Counter()
    for letter in chosen.of(open_dead_letters().all()):
        reasons[letter.reason] += 1
        if len(shown) < limit:
            shown.append(letter)
    if as_json:
        print_json(
            {"total": reasons.total(), "reasons": dict(reasons), "letters": [_value(one) for one in shown]}
        )
        return
    print_letters(shown)
    totals = (f"{count:>8} {printable(name)}" for name, count in reasons.most_common())
    print_lines(f"{len(shown)} of {reasons.total()}", *totals)


@dead_letters.command()
def show(entry: Annotated[str, typer.Argument(metavar="ID")], as_json: AsJson = False) -> None:
    """Print one dead letter, as JSON."""
    from worker.cli.broker import open_dead_letters  # noqa: PLC0415

    del as_json  # it always is
    letter = open_dead_letters().get(entry)
    if letter is None:
        raise typer.BadParameter(f"there is no dead letter {entry}")
    print_json(_value(letter))


@dead_letters.command()
def replay(
    ids: Ids = None,
    *,
    reason: Reasons = None,
    product: Products = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    everything: All = False,
    limit: Limit = None,
    force: Annotated[
        bool, typer.Option("--force", help="Also those older than LOOKALIKE_INDEX__TOMBSTONE_DAYS.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Publish dead letters again, and remove those that were published."""
    chosen = LetterFilter(tuple(reason or ()), tuple(product or ()), older_than, newer_than)
    _check_choice(ids, chosen, everything=everything)
    from config.settings import load_settings  # noqa: PLC0415
    from worker import replay as replaying  # noqa: PLC0415
    from worker.cli.broker import celery_app, open_dead_letters  # noqa: PLC0415

    app, letters = celery_app(), open_dead_letters()
    patience = timedelta(days=load_settings().index.tombstone_days)
    oldest = None if force else datetime.now(UTC) - patience
    replayed: list[str] = []
    with _chosen("replaying", letters, ids, chosen) as (found, refused):
        for done in replaying.replay(app, letters, islice(found, limit), oldest=oldest):
            replayed += done.published
            refused.update(done.refused)
    _tell("replayed", replayed if as_json else len(replayed), refused, as_json=as_json)


@dead_letters.command()
def drop(
    ids: Ids = None,
    *,
    reason: Reasons = None,
    product: Products = None,
    older_than: OlderThan = None,
    newer_than: NewerThan = None,
    everything: All = False,
    limit: Limit = None,
    as_json: AsJson = False,
) -> None:
    """Remove dead letters for good."""
    chosen = LetterFilter(tuple(reason or ()), tuple(product or ()), older_than, newer_than)
    _check_choice(ids, chosen, everything=everything)
    from worker.cli.broker import open_dead_letters  # noqa: PLC0415
    from worker.jobs.dead_letters import PAGE  # noqa: PLC0415

    letters = open_dead_letters()
    dropped = 0
    with _chosen("dropping", letters, ids, chosen) as (found, refused):
        wanted = (letter.id for letter in islice(found, limit))
        while page := list(islice(wanted, PAGE)):
            dropped += letters.drop(page)
    _tell("dropped", dropped, refused, as_json=as_json)


def _check_choice(ids: list[str] | None, chosen: LetterFilter, *, everything: bool) -> None:
    if bool(ids) + chosen.given + everything != 1:
        raise typer.BadParameter(
            "give ids, or filters (--reason, --product, --older-than, --newer-than), or --all"
        )


@contextmanager
def _chosen(
    label: str, letters: "DeadLetters", ids: list[str] | None, chosen: LetterFilter
) -> "Iterator[tuple[Iterator[DeadLetter], dict[str, str]]]":
    """The letters with these ids, else those that fit; and which ids are refused, and why."""
    if not ids:
        with _progress(label, letters.count()) as advance:
            yield chosen.of(_advancing(letters.all(), advance)), {}
        return
    named = {entry: letters.get(entry) for entry in ids}
    missing = {entry: "there is no such dead letter" for entry, letter in named.items() if letter is None}
    yield (letter for letter in named.values() if letter is not None), missing


def _advancing(letters: "Iterable[DeadLetter]", advance: Callable[[int], None]) -> "Iterator[DeadLetter]":
    for letter in letters:
        yield letter
        advance(1)


@contextmanager
def _progress(label: str, total: int) -> Iterator[Callable[[int], None]]:
    """How far it is through the letters, where they are many."""
    if total < PROGRESS_FROM:
        yield lambda _: None
        return
    from worker.progress import progress  # noqa: PLC0415

    with progress(label, total) as advance:
        yield advance


def _tell(what: str, done: list[str] | int, refused: dict[str, str], *, as_json: bool) -> None:
    """What was done and what was not; the latter is exit code 1."""
    if as_json:
        reasons = [{"id": entry, "reason": reason} for entry, reason in refused.items()]
        print_json({what: done, "refused": reasons})
    else:
        print_lines(f"{what} {done}", *(f"not {entry}: {reason}" for entry, reason in refused.items()))
    if refused:
        raise typer.Exit(1)


def _value(letter: "DeadLetter") -> dict[str, Any]:
    return {**asdict(letter), "products": list(letter.products)}
