"""What the doctor says of one thing."""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal

from config.settings import ConfigurationError
from recommender.errors import LookalikeError

State = Literal["ok", "warn", "fix"]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was looked at; `remedy` says what to do about it where it is not ok."""

    subject: str
    state: State
    found: str
    remedy: str = ""


def ok(subject: str, found: str) -> Finding:
    """Nothing to do."""
    return Finding(subject, "ok", found)


def warn(subject: str, found: str, remedy: str) -> Finding:
    """It works, and is worth knowing."""
    return Finding(subject, "warn", found, remedy)


def fix(subject: str, found: str, remedy: str) -> Finding:
    """It must be fixed."""
    return Finding(subject, "fix", found, remedy)


def examined(subject: str, findings: Iterator[Finding], remedy: str) -> Iterator[Finding]:
    """The findings; what keeps them from being made is one more, with this remedy."""
    try:
        yield from findings
    except (LookalikeError, ConfigurationError) as error:
        yield fix(subject, str(error), remedy)
