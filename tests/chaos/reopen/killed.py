"""Starting that process on a plan, and killing it at a random moment."""

import json
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

LONGEST_S = 0.1
OPENINGS = 0.1
"""The share of kills that are to meet an opening, and not a step."""


@dataclass(frozen=True)
class Killed:
    """How far it came: the first `returned` steps, and whether it was killed within the next one."""

    returned: int
    in_flight: bool


@dataclass(frozen=True)
class Found:
    """One kill: how many steps had returned, whether one was in flight, and what was found afterwards."""

    returned: int
    in_flight: bool
    recovery_s: float
    violations: tuple[str, ...]


def run_and_kill(folder: Path, steps: Sequence[Mapping[str, Any]], most: int, chance: Random) -> Killed:
    """Let a process work on the steps, and SIGKILL it a moment after up to `most` of them have returned.

    Raises:
        RuntimeError: it had ended by itself.
    """
    plan = folder.with_name(f"{folder.name}.plan")
    plan.write_text("".join(f"{json.dumps(step)}\n" for step in steps))
    command = [sys.executable, "-m", "tests.chaos.reopen.process", str(folder), str(plan)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        last = "ready\n" if chance.random() < OPENINGS else f"done {chance.randint(0, most)}\n"
        said = []
        try:
            for line in iter(process.stdout.readline, ""):
                said.append(line)
                if line == last:
                    break
            time.sleep(chance.uniform(0, LONGEST_S))
        finally:
            process.kill()
        said += process.stdout
    begun, returned = (sum(line.startswith(word) for line in said) for word in ("begin", "done"))
    if process.returncode != -signal.SIGKILL or returned == len(steps):
        raise RuntimeError(f"the process ended by itself, with {process.returncode}, after step {returned}")
    return Killed(returned, in_flight=begun > returned)
