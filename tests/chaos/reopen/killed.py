"""Starting that process on a plan, and killing it at a random moment."""

import json
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

LONGEST_S = 0.8


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


def run_and_kill(folder: Path, steps: Sequence[Mapping[str, Any]], chance: Random) -> Killed:
    """Let a process work on the steps, and SIGKILL it.

    Raises:
        RuntimeError: it had ended by itself.
    """
    plan = folder.with_name(f"{folder.name}.plan")
    plan.write_text("".join(f"{json.dumps(step)}\n" for step in steps))
    command = [sys.executable, "-m", "tests.chaos.reopen.process", str(folder), str(plan)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            process.stdout.readline()  # it is ready
            time.sleep(chance.uniform(0, LONGEST_S))
        finally:
            process.kill()
        said = process.stdout.read().split()
    begun, returned = said.count("begin"), said.count("done")
    if process.returncode != -9 or begun > returned + 1:
        raise RuntimeError(f"the process ended by itself, with {process.returncode}, after step {returned}")
    return Killed(returned, in_flight=begun > returned)
