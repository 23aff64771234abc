"""Row 9: images and events that are almost right, in processes that are watched.

Violations: an exception that is none of ours, the process's death, more than 10 s, more memory than
stated.
"""

import json
import os
import secrets
import shutil
import struct
import subprocess
import sys
import tempfile
import time
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from tests.chaos.fuzz.child import DONE, FOUND, KINDS
from tests.chaos.result import Result, Size

FULL = {"images": 70_000, "documents": 40_000}
SHORT = {"images": 2_500, "documents": 2_500}
LANES = 2
LIMIT_S = 10
_START_S = 60  # importing torch on a busy machine, or ending there, is no case of ours
_ENOUGH = 10  # violations a lane, after which the rest would say the same


def run(size: Size) -> list[Result]:
    seed = secrets.randbits(32)
    return [_fuzz(name, seed, cases) for name, cases in (SHORT if size.short else FULL).items()]


def _fuzz(name: str, seed: int, cases: int) -> Result:
    print(f"fuzz, {name}: seed {seed}", file=sys.stderr, flush=True)
    folder = Path(tempfile.mkdtemp(prefix=f"lookalike-fuzz-{name}-"))
    each = -(-cases // LANES)
    lanes = [
        _Lane(name, seed, range(n * each, min(cases, (n + 1) * each)), folder / str(n)) for n in range(LANES)
    ]
    started = time.monotonic()
    with ThreadPoolExecutor(LANES) as pool:
        violations = [line for found in pool.map(_Lane.run, lanes) for line in found]
    outcomes = sum((lane.outcomes for lane in lanes), Counter[str]())
    for lane in lanes:
        shutil.rmtree(lane.folder)
    if not violations:
        folder.rmdir()
    counted = ", ".join(f"{count:,} {outcome}" for outcome, count in sorted(outcomes.items()))
    return Result(
        "fuzz",
        name,
        cases,
        notes=f"seed {seed}, {time.monotonic() - started:.0f} s: {counted}",
        violations=tuple(violations),
    )


@dataclass
class _Lane:
    """A part of the cases, in one process after the other: each finding ends one."""

    name: str
    seed: int
    cases: range
    folder: Path
    outcomes: Counter[str] = field(default_factory=Counter)

    def run(self) -> list[str]:
        self.folder.mkdir()
        violations: list[str] = []
        first = self.cases.start
        while first < self.cases.stop and len(violations) < _ENOUGH:
            ended = self._watch(first)
            if ended == "":
                break
            (n,) = struct.unpack("q", (self.folder / "at").read_bytes())
            kept = self.folder.parent / f"{self.name}-{self.seed}-{n}"
            kept.write_bytes(KINDS[self.name].make(self.seed, n))
            repeat = f"python -m tests.chaos.fuzz.child {self.name} {self.seed} {n}"
            violations.append(f"case {n}: {ended}; its input is {kept}, repeat it by {repeat}")
            first = n + 1
        return violations

    def _watch(self, first: int) -> str:
        """Let a process have the cases from `first` on; says how it ended, unless all was well."""
        command = [sys.executable, "-m", "tests.chaos.fuzz.child", self.name, str(self.seed)]
        command += [str(first), str(self.cases.stop), str(self.folder)]
        for left in ("at", "found", "outcomes"):
            (self.folder / left).unlink(missing_ok=True)
        with (self.folder / "log").open("wb") as log:
            process = subprocess.Popen(
                command, stdout=log, stderr=log, env={**os.environ, "OMP_NUM_THREADS": "1"}
            )
            for hung_s in self._in_hand_for(process):
                if hung_s > LIMIT_S:
                    process.kill()
                    process.wait()
                    return f"took longer than {LIMIT_S} s"
        if (self.folder / "outcomes").exists():
            self.outcomes.update(json.loads((self.folder / "outcomes").read_text()))
        if process.returncode == FOUND:
            return (self.folder / "found").read_text().strip().splitlines()[-1]
        if process.returncode:
            said = (self.folder / "log").read_text(errors="replace").strip().splitlines()[-1:]
            return f"ended its process with {process.returncode} {' '.join(said)}"
        return ""

    def _in_hand_for(self, process: "subprocess.Popen[bytes]") -> Iterator[float]:
        """How long the case in hand has been so, until the process has ended."""
        seen, since = b"", time.monotonic() + _START_S
        while process.poll() is None:
            time.sleep(0.1)
            at = self.folder / "at"
            now = at.read_bytes() if at.exists() else b""
            if now != seen:
                seen, since = now, time.monotonic() + (_START_S if now == struct.pack("q", DONE) else 0)
            yield time.monotonic() - since
