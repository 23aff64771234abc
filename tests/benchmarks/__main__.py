"""`python -m tests.benchmarks [--full] [--only ROW ...] [--photos DIR]`: measure, and write the tables.

Every row writes `bench/ROW.json` as soon as it has ended; docs/benchmarks.md is made of those files.
"""

import argparse
import os
import sys
import tempfile
import time
import traceback
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path

from tests.benchmarks import report
from tests.benchmarks.result import FOLDER, Result
from tests.benchmarks.rows import (
    batching,
    decoding,
    exactness,
    growth,
    precision,
    repeats,
    throughput,
)
from tests.benchmarks.scene import SIDES, Scene, set_up

Row = Callable[[Scene], Result]
ENCODERS = ("compact", "resnet50", "clip-vit-b-32")
ROWS: dict[str, Row] = {
    **{f"throughput-{name}": partial(throughput.run, name=name) for name in ENCODERS},
    "decoding": decoding.run,
    "batcher-compact": partial(batching.run, name="compact"),
    "repeats-compact": partial(repeats.run, name="compact"),
    **{f"precision-{name}": partial(precision.run, name=name) for name in ENCODERS},
    "exactness": exactness.run,
    "growth": growth.run,
    "batcher-resnet50": partial(batching.run, name="resnet50"),
    "repeats-resnet50": partial(repeats.run, name="resnet50"),
}
SHORT = (
    *(f"throughput-{name}" for name in ENCODERS[:2]),
    *("batcher-compact", "repeats-compact"),
)


def main() -> int:
    """Run the rows, one after the other."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks", description=__doc__)
    parser.add_argument("--full", action="store_true", help="every row, both sizes")
    parser.add_argument("--only", action="append", choices=list(ROWS), help="this row; may be repeated")
    parser.add_argument("--px", type=int, action="append", help="longer side of the JPEGs")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, help="that one measurement lasts; 2 if --full, else 1")
    parser.add_argument("--without-rivals", action="store_true", help="F, D and ours alone")
    parser.add_argument("--photos", type=Path, default=os.environ.get("BENCH_PHOTOS"))
    parser.add_argument("--work", type=Path, help="folder for pictures and graphs; kept if named")
    parser.add_argument(
        "--out",
        type=Path,
        default=FOLDER,
        help="of the raw results; another than bench/ gets the page too",
    )
    parser.add_argument("--report", action="store_true", help="only write the tables again")
    asked, failed = parser.parse_args(), 0
    if not asked.report:
        sides = tuple(asked.px or (SIDES if asked.full else SIDES[:1]))
        with tempfile.TemporaryDirectory(prefix="lookalike-bench-") as name:
            folder = (asked.work or Path(name)).resolve()
            folder.mkdir(parents=True, exist_ok=True)
            photos = Path(asked.photos).resolve() if asked.photos else None
            seconds = asked.seconds or (2 if asked.full else 1)
            told = (folder, photos, sides, asked.rounds, seconds)
            with set_up(*told, rivals=not asked.without_rivals) as scene:
                names = asked.only or (ROWS if asked.full else SHORT)
                failed = run_rows(scene, {name: ROWS[name] for name in names}, asked.out)
    report.write(asked.out, report.DOCS if asked.out == FOLDER else asked.out)
    return failed


def run_rows(scene: Scene, rows: Mapping[str, Row], out: Path) -> int:
    """Every row, whatever becomes of the others; 1 if one failed."""
    failed = 0
    for name, row in rows.items():
        started = time.monotonic()
        try:
            result = row(scene)
        except Exception:  # noqa: BLE001  # the rows after it are worth measuring
            scene.say(f"{name} FAILED\n{traceback.format_exc()}")
            failed = 1
            continue
        result.facts["took, s"] = round(time.monotonic() - started)
        result.write(out)
        scene.say(report.in_short(result))
    return failed


if __name__ == "__main__":
    sys.exit(main())
