"""Starting that process on a plan, and killing it at a random moment."""

import json
import signal
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from random import Random
from typing import Any

LONGEST_S = 0.2
"""From that moment to the kill; often much less, since in memory a flush takes a millisecond."""
MOMENTS = {"ready": 1, "flush": 4, "done": 5}
"""After what kills come, and how often: while the index is opened, within a flush, within a step."""
MOST_FLUSHES = 3


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
        (moment,) = chance.choices(list(MOMENTS), list(MOMENTS.values()))
        wanted = {"ready": 1, "flush": chance.randint(1, MOST_FLUSHES), "done": chance.randint(1, most)}[
            moment
        ]
        said: Counter[str] = Counter()
        try:
            while said[moment] < wanted and (line := process.stdout.readline()):
                said[line.strip()] += 1
            time.sleep(LONGEST_S * chance.random() ** chance.choice((1, 3)))
        finally:
            process.kill()
        said.update(line.strip() for line in process.stdout)
    if process.returncode != -signal.SIGKILL or said["done"] == len(steps):
        raise RuntimeError(f"the process ended by itself, with {process.returncode}; it said {dict(said)}")
    return Killed(said["done"], in_flight=said["begin"] > said["done"])
