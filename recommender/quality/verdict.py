"""What a gate says: checks, each with what was measured and what was asked for."""

from dataclasses import asdict, dataclass
from typing import Any


@dataclass(frozen=True, slots=True)
class Check:
    """One thing that was measured.

    `value` is compared with `threshold`, in the direction that `detail` says in words. `passed` None means
    that it could not be measured: `detail` says why, and what decides in its place.
    """

    name: str
    value: float | None
    threshold: float
    passed: bool | None
    detail: str

    def __str__(self) -> str:
        """One line of a log or a terminal."""
        word = {True: "passed", False: "FAILED", None: "not measurable"}[self.passed]
        return f"{self.name}: {word}: {self.detail}"


def at_least(name: str, value: float, threshold: float, detail: str) -> Check:
    """Passed from the threshold on."""
    return Check(name, round(value, 4), threshold, value >= threshold, detail)


def at_most(name: str, value: float, threshold: float, detail: str) -> Check:
    """Passed up to the threshold."""
    return Check(name, round(value, 4), threshold, value <= threshold, detail)


def not_measurable(name: str, threshold: float, why: str) -> Check:
    """Neither passed nor failed."""
    return Check(name, None, threshold, None, why)


@dataclass(frozen=True, slots=True)
class Verdict:
    """All checks of `new` against `old`, two fingerprints."""

    old: str
    new: str
    checks: tuple[Check, ...]

    @property
    def passed(self) -> bool:
        """Whether no check failed, and looks were compared at all."""
        return all(check.passed is not False for check in self.checks) and any(
            check.passed for check in self.checks if check.name in LOOKS
        )

    def as_json(self) -> dict[str, Any]:
        """For a report that is kept."""
        checks = [asdict(check) for check in self.checks]
        return {"old": self.old, "new": self.new, "passed": self.passed, "checks": checks}

    def __str__(self) -> str:
        """Lines: the outcome, then each check."""
        outcome = "passed" if self.passed else "refused"
        return "\n".join([f"{self.new} against {self.old}: {outcome}", *(f"- {c}" for c in self.checks)])


LOOKS = ("placement", "overlap", "quality")
"""Checks that look at what is like what; a gate that could do none of them is not passed."""
