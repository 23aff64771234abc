"""One row, in a process of its own: outside of `__main__`, which a spawned process does not import."""

import sys
import time
import traceback
from importlib import import_module

from tests.chaos.result import Result, Size


def run_row(name: str, size: Size) -> list[Result]:
    started = time.monotonic()
    print(f"{name} ...", file=sys.stderr, flush=True)
    try:
        results: list[Result] = import_module(f"tests.chaos.rows.{name}").run(size)
    except Exception as error:  # noqa: BLE001  # the other rows still have something to say
        traceback.print_exc()
        results = [Result(name, "the row itself", 0, violations=(f"it did not end: {error!r}",))]
    print(f"{name}: {time.monotonic() - started:.0f} s", file=sys.stderr, flush=True)
    return results
