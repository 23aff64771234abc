"""`python -m tests.chaos [--short] [--row NAME ...]`: break everything, and compare with an independent book.

Prints one table; exits with 1 on any violation.
"""

import argparse
import sys
from concurrent.futures import ProcessPoolExecutor
from itertools import repeat, zip_longest
from multiprocessing import get_context

from tests.chaos.result import Result, Size
from tests.chaos.run_row import run_row

ROWS = ("kills", "broker", "reopen", "outage", "shuffle", "poison", "rolling", "triggers", "fuzz")
HEADER = (
    "row",
    "subject",
    "published",
    "kills",
    "lost",
    "stale",
    "resurrected",
    "repeats a kill",
    "recovery s",
    "verdict",
)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--short", action="store_true", help="the form that CI runs")
    parser.add_argument("--row", action="append", choices=ROWS, help="only this row; may be repeated")
    arguments = parser.parse_args()
    names = arguments.row or ROWS
    size = Size(short=arguments.short)
    # The short form has no time to measure: while one row waits for a worker to start, another works.
    lanes = 2 if size.short else 1
    with ProcessPoolExecutor(lanes, get_context("spawn"), max_tasks_per_child=1) as processes:
        results = [result for row in processes.map(run_row, names, repeat(size)) for result in row]
    _print_table(results)
    return int(any(_violations(result) for result in results))


def _violations(result: Result) -> list[str]:
    """What must not be; a loss counts even where the row forgot to list it."""
    if result.expected_to_fail:
        return []
    counted = result.lost + result.stale + result.resurrected
    return list(result.violations) or ([f"{counted} products are not as published"] if counted else [])


def _print_table(results: list[Result]) -> None:
    lines = [HEADER, tuple("-" * len(title) for title in HEADER), *(_cells(result) for result in results)]
    widths = [max(len(cell) for cell in column) for column in zip_longest(*lines, fillvalue="")]
    for line in lines:
        print(" | ".join(cell.ljust(width) for cell, width in zip(line, widths, strict=True)).rstrip())
    for result in results:
        if result.notes:
            print(f"\n{result.row}, {result.subject}: {result.notes}")
        for violation in _violations(result):
            print(f"VIOLATION in {result.row}, {result.subject}: {violation}")


def _cells(result: Result) -> tuple[str, ...]:
    verdict = "FAILS" if _violations(result) else "holds"
    if result.expected_to_fail:
        verdict = "for comparison"
    return (
        result.row,
        result.subject,
        f"{result.published:,}",
        str(result.kills),
        str(result.lost),
        str(result.stale),
        str(result.resurrected),
        _measured(result.repeats_a_kill),
        _measured(result.recovery_s),
        verdict,
    )


def _measured(value: float | None) -> str:
    return "" if value is None else f"{value:.1f}"


if __name__ == "__main__":
    sys.exit(main())
