"""One side of a comparison, in a process of its own that sleeps while others are measured.

`Contender` starts `python -m tests.benchmarks.contender MODULE` and asks it, a JSON line each; the module's
`opened(options)` gives the function that answers.
"""

import importlib
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, suppress
from pathlib import Path
from typing import Any, Self

from worker.die_with_parent import dying_with_parent

Answer = Callable[[dict[str, Any]], Any]
Opened = Callable[[dict[str, Any]], AbstractContextManager[Answer]]


class ContenderFailed(Exception):
    """It ended, or said why it can't."""

    @property
    def last_line(self) -> str:
        """Of its log: the exception."""
        return str(self).strip().splitlines()[-1]


class Contender:
    """The parent's side."""

    def __init__(self, module: str, options: Mapping[str, Any], log: Path) -> None:
        self._log = log
        command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.contender", module]
        with log.open("ab") as file:
            self._process = subprocess.Popen(
                dying_with_parent(command, signal.SIGKILL),
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
            )
        self._send(dict(options))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def ask(self, **request: Any) -> Any:
        """Its answer; blocks as long as it measures."""
        self._send(request)
        assert self._process.stdout is not None
        line = self._process.stdout.readline()
        if not line:
            raise ContenderFailed(f"it ended with {self._process.wait()}: see {self._log}\n{self._said()}")
        return json.loads(line)

    def close(self) -> None:
        """Let it end, or end it."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        with suppress(OSError):  # it has ended, with a request unread
            self._process.stdin.close()
        try:
            self._process.wait(20)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        self._process.stdout.close()

    def _send(self, value: Any) -> None:
        assert self._process.stdin is not None
        try:
            self._process.stdin.write(json.dumps(value) + "\n")
            self._process.stdin.flush()
        except OSError as error:
            raise ContenderFailed(f"it ended: see {self._log}\n{self._said()}") from error

    def _said(self) -> str:
        return self._log.read_text(errors="replace")[-1500:]


def main() -> None:
    """The child's side: standard output carries answers alone, all else that is printed goes to the log."""
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    opened: Opened = importlib.import_module(f"tests.benchmarks.contenders.{sys.argv[1]}").opened
    with opened(json.loads(sys.stdin.readline())) as answer:
        for line in sys.stdin:
            answers.write(json.dumps(answer(json.loads(line))) + "\n")
            answers.flush()


if __name__ == "__main__":
    main()
