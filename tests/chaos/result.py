"""What a row is asked and what it answers: modules of tests/chaos/rows, `def run(size) -> list[Result]`."""

from dataclasses import dataclass


@dataclass(frozen=True)
class Size:
    """How much to do: the short form of all rows together fits into four minutes on two cores."""

    short: bool


@dataclass(frozen=True)
class Result:
    """One line of the table; what is None was not measured, and each violation is listed below it."""

    row: str
    subject: str
    published: int
    kills: int = 0
    lost: int = 0
    stale: int = 0
    resurrected: int = 0
    repeats_a_kill: float | None = None
    recovery_s: float | None = None
    notes: str = ""
    violations: tuple[str, ...] = ()
    expected_to_fail: bool = False  # the stock transport: reported, never a violation
