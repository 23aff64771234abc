"""From the options of a command to a question on the wire."""

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from pathlib import Path
from typing import Any

import typer

from recommender.errors import InvalidQuery
from worker.cli.output import print_lines
from worker.cli.query import ask

_AT_A_TIME = 100
Given = Mapping[str, Any]
"""Options by the names of the API; None or an empty list where one was not given."""


@dataclass(frozen=True)
class Asked:
    """What the options of `lookalike similar` say."""

    by: Given
    filters: Given
    attributes: Sequence[str]
    excluded: Given
    rules: Given
    image: Path | None = None

    def body(self) -> dict[str, Any]:
        """As POST /v1/similar takes it."""
        attributes: dict[str, Any] = {}
        for name, value in map(_attribute, self.attributes):
            if isinstance(value, dict):
                attributes[name] = value
            else:
                attributes.setdefault(name, []).append(value)
        excluded = {f"exclude_{name}s": value for name, value in self.excluded.items()}
        where = _given({**self.filters, **excluded, "attributes": attributes})
        return _given({**self.by, **self.rules, "filter": where})

    def form(self) -> dict[str, Any]:
        """As POST /v1/similar/image takes it, beside the photo."""
        flat: dict[str, Any] = {**self.by, **self.rules, **self.filters}
        flat |= {f"exclude_{name}": value for name, value in self.excluded.items()}
        for name, value in map(_attribute, self.attributes):
            if isinstance(value, dict):
                flat |= {f"attr.{name}.{bound}": number for bound, number in value.items()}
            else:
                flat.setdefault(f"attr.{name}", []).append(value)
        given = _given(flat)
        return {name: value if isinstance(value, list) else str(value) for name, value in given.items()}


def ask_one(asked: Asked) -> dict[str, Any]:
    """The answer to one question.

    Raises:
        QueryError: the question is wrong; the message says how.
        TransientError: nobody could answer.
    """
    if asked.image is None:
        return ask("POST", "/v1/similar", json=asked.body())
    if asked.by["image_url"]:
        raise typer.BadParameter("--image and --image-url are one photo each: give one")
    try:
        photo = asked.image.read_bytes()
    except OSError as error:
        raise InvalidQuery("image", f"{asked.image}: {error.strerror}") from error
    files = {"file": (asked.image.name, photo)}
    return ask("POST", "/v1/similar/image", data=asked.form(), files=files)


def ask_many(path: Path, asked: Asked) -> None:
    """Print an answer a line, as JSON, in the order of the questions.

    Raises:
        InvalidQuery: the file can't be read, or a line is no question; it says which.
        TransientError: nobody could answer.
    """
    waiting = _questions(path, asked.body())
    while questions := list(islice(waiting, _AT_A_TIME)):
        answers = ask("POST", "/v1/similar/batch", json={"questions": questions})["answers"]
        print_lines(*(json.dumps(answer, ensure_ascii=False) for answer in answers))


def _questions(path: Path, defaults: dict[str, Any]) -> Iterator[dict[str, Any]]:
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield defaults | _question(line.strip(), f"{path} line {number}")
    except (OSError, UnicodeDecodeError) as error:
        raise InvalidQuery("questions", f"{path}: {error}") from error


def _question(line: str, where: str) -> dict[str, Any]:
    if not line.startswith("{"):
        return {"positive": [line]}
    try:
        question: dict[str, Any] = json.loads(line)
    except ValueError as error:
        raise InvalidQuery("questions", f"{where}: neither an id nor a JSON object: {error}") from error
    return question


def _attribute(option: str) -> tuple[str, str | dict[str, float]]:
    """NAME=VALUE, or NAME=MIN..MAX with one bound or both."""
    name, equals, value = option.partition("=")
    if not equals:
        raise typer.BadParameter(f"--attr {option}: expected NAME=VALUE or NAME=MIN..MAX")
    low, dots, high = value.partition("..")
    if not dots:
        return name, value
    try:
        return name, {bound: float(text) for bound, text in (("min", low), ("max", high)) if text}
    except ValueError:
        return name, value  # a text with dots


def _given(options: Given) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value is not None and value not in ([], {})}
