"""Product ids from a file, one a line."""

import sys
from pathlib import Path

import typer


def read_ids(name: str) -> list[str]:
    """The ids of a file, or of standard input for `-`, each once; empty lines are passed over.

    Raises:
        typer.BadParameter: it can't be read, a line is no product id, or there are none or too many.
    """
    from pydantic import TypeAdapter, ValidationError  # noqa: PLC0415

    from recommender.catalog import ProductId  # noqa: PLC0415
    from recommender.events import MAX_SCOPE_IDS  # noqa: PLC0415

    check = TypeAdapter(ProductId).validate_python
    ids: dict[str, None] = {}
    for number, line in enumerate(_text(name).splitlines(), start=1):
        if identity := line.strip():
            try:
                ids[check(identity)] = None
            except ValidationError as error:
                reason = error.errors(include_url=False)[0]["msg"]
                raise typer.BadParameter(f"{name} line {number} is no product id: {reason}") from error
    if not ids:
        raise typer.BadParameter(f"{name} holds no product id; it should have one a line")
    if len(ids) > MAX_SCOPE_IDS:
        raise typer.BadParameter(f"{name} holds {len(ids)} ids; a job takes {MAX_SCOPE_IDS}: split the file")
    return list(ids)


def _text(name: str) -> str:
    try:
        data = sys.stdin.buffer.read() if name == "-" else Path(name).read_bytes()
        return data.decode("utf-8-sig")
    except OSError as error:
        raise typer.BadParameter(f"{name} can't be read: {error.strerror}") from error
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise typer.BadParameter(f"{name} line {line} is not UTF-8") from error
