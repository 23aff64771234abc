"""Contact sheets as commands leave them: an option that says where, rows drawn with the API's pictures."""

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TypeVar

import typer

if TYPE_CHECKING:
    from worker.contact_sheet import Row

T = TypeVar("T")
MOST_ROWS = 60
SHOWN = 8  # products beside the first one of a row
_SUFFIXES = (".png", ".jpg", ".jpeg")


def _checked(path: Path | None) -> Path | None:
    """Refuse before the work what could not be written after it."""
    if path is not None and path.suffix.lower() not in _SUFFIXES:
        raise typer.BadParameter(f"{path}: the name must end with one of {', '.join(_SUFFIXES)}")
    if path is not None and not path.parent.is_dir():
        raise typer.BadParameter(f"{path}: there is no folder {path.parent}")
    return path


Sheet = Annotated[
    Path | None,
    typer.Option("--sheet", help="Leave a picture there, PNG or JPEG.", metavar="PATH", callback=_checked),
]


def save_sheet(
    path: Path, heading: str, caption: str, subjects: Sequence[T], row_of: "Callable[[T], Row]"
) -> None:
    """Draw a row for each of the first subjects; what is not shown is said."""
    from worker.contact_sheet import contact_sheet  # noqa: PLC0415
    from worker.progress import progress  # noqa: PLC0415

    shown = subjects[:MOST_ROWS]
    if len(subjects) > len(shown):
        caption = f"{caption} · the first {len(shown)} of them"
    rows = []
    with progress("drawing", len(shown)) as advance:
        for subject in shown:
            rows.append(row_of(subject))
            advance(1)
    contact_sheet(rows, heading, caption).save(path)
