"""Row 3: the process that owns the embedded index is SIGKILLed in the middle of a write; another opens it."""

import secrets
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from random import Random
from tempfile import TemporaryDirectory

from recommender.index.embedded import EmbeddedEngine
from tests.chaos.reopen.inspection import inspect
from tests.chaos.reopen.killed import Found, run_and_kill
from tests.chaos.reopen.process import SCHEMA
from tests.chaos.reopen.shelf import Shelf, inspect_shelf
from tests.chaos.reopen.writes import DIMENSION, FINGERPRINT, Book
from tests.chaos.result import Result, Size

PLACES = [None, Path("/dev/shm")] if Path("/dev/shm").is_dir() else [None]  # noqa: S108  # random names below
"""On a disk flushes and creations take long; in memory more of them meet a kill."""
BATCHES = 150
MOST_BATCHES, MOST_STEPS = 30, 6
"""What has returned before a kill, at most; many more are planned, so that one is in flight."""
KILLS_AN_INDEX = 25
MOST_TOLD = 10


def run(size: Size) -> list[Result]:
    writes, steps = (4, 2) if size.short else (100, 30)
    return [
        _kill("whole points, payloads, tombstones", _killed_writers, writes),
        _kill("create, promote, drop", _killed_makers, steps),
    ]


def _kill(subject: str, killing: Callable[[Path, Random], Iterator[Found]], kills: int) -> Result:
    """Kill until so many kills met a step in flight, or something is wrong."""
    seed = secrets.randbits(32)
    chance = Random(seed)
    found: list[Found] = []
    while sum(one.in_flight for one in found) < kills and not any(one.violations for one in found):
        with TemporaryDirectory(prefix="chaos-", dir=chance.choice(PLACES)) as name:
            for one in killing(Path(name), chance):
                found.append(one)
                if one.violations or sum(one.in_flight for one in found) == kills:
                    break
    violations = [violation for one in found for violation in one.violations]
    between = len(found) - sum(one.in_flight for one in found)
    return Result(
        "reopen",
        subject,
        sum(one.returned for one in found),
        kills=kills,
        lost=len(violations),
        recovery_s=max(one.recovery_s for one in found),
        notes=f"seed {seed}; {between} more kills met no step in flight but an opening, or nothing",
        violations=tuple(violations[:MOST_TOLD]),
    )


def _killed_writers(folder: Path, chance: Random) -> Iterator[Found]:
    """One index and its killed writers.

    Half of the time a copy is looked at, and the next writer finds what the killed one has left.
    """
    index, book = folder / "index", Book()
    engine = EmbeddedEngine(index, SCHEMA)
    engine.create(FINGERPRINT, DIMENSION)
    engine.close()
    for _ in range(KILLS_AN_INDEX):
        batches = book.plan(chance, BATCHES)
        steps = [{"write": [write.as_json() for write in batch]} for batch in batches]
        killed = run_and_kill(index, steps, MOST_BATCHES, chance)
        for batch in batches[: killed.returned]:
            book.last |= {write.id: write for write in batch}
        left = index if chance.random() < 0.5 else _copy(index)
        started = time.monotonic()
        violations = inspect(left, book, batches[killed.returned] if killed.in_flight else [])
        yield Found(killed.returned, killed.in_flight, time.monotonic() - started, tuple(violations))


def _killed_makers(folder: Path, chance: Random) -> Iterator[Found]:
    """One folder of collections, and the killed processes that made them."""
    shelf = Shelf()
    for _ in range(KILLS_AN_INDEX):
        steps = shelf.plan(rounds=20)
        killed = run_and_kill(folder / "index", steps, MOST_STEPS, chance)
        started = time.monotonic()
        violations = inspect_shelf(folder / "index", shelf, steps, killed)
        yield Found(killed.returned, killed.in_flight, time.monotonic() - started, tuple(violations))


def _copy(index: Path) -> Path:
    """A copy with the holes of its files."""
    copy = index.with_name("copy")
    shutil.rmtree(copy, ignore_errors=True)
    subprocess.run(["/bin/cp", "-a", "--sparse=always", index, copy], check=True)
    return copy
