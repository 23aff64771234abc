"""`python -m tests.benchmarks.gpu [--photos DIR] [--only ROW ...]`: the rows of a machine with a GPU.

F, eager bfloat16, compiled, D, ours through Celery and Redis for ViT-L/14, ViT-B/32 and ResNet-50; and JPEG
decoding on the GPU: its rate, its corruption of other memory, its neighbours. Writes `bench/cuda-*.json`.
"""

import argparse
import os
import sys
import tempfile
from collections.abc import Callable
from functools import partial
from pathlib import Path

import torch

from tests.benchmarks.__main__ import run_rows
from tests.benchmarks.result import FOLDER, Result
from tests.benchmarks.rows import gpu_decoding, throughput
from tests.benchmarks.scene import SIDES, Scene, set_up

ENCODERS = ("clip-vit-l-14", "clip-vit-b-32", "resnet50")
ROWS: dict[str, Callable[[Scene], Result]] = {
    **{f"cuda-{name}": partial(throughput.run, name=name) for name in ENCODERS},
    "cuda-decoding": gpu_decoding.run,
}


def main() -> int:
    """Run the rows; 1 where there is no GPU, or a row failed."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.gpu", description=__doc__)
    parser.add_argument("--only", action="append", choices=list(ROWS), help="this row; may be repeated")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=3, help="that one measurement lasts")
    parser.add_argument("--photos", type=Path, default=os.environ.get("BENCH_PHOTOS"))
    parser.add_argument("--out", type=Path, default=FOLDER, help="folder of the raw results")
    asked = parser.parse_args()
    if not torch.cuda.is_available():
        sys.stderr.write("no GPU: torch finds no CUDA device, so nothing was measured\n")
        return 1
    photos = Path(asked.photos).resolve() if asked.photos else None
    with (
        tempfile.TemporaryDirectory(prefix="lookalike-bench-") as name,
        set_up(Path(name), photos, SIDES, asked.rounds, asked.seconds, device="cuda") as scene,
    ):
        return run_rows(scene, {row: ROWS[row] for row in asked.only or ROWS}, asked.out)


if __name__ == "__main__":
    sys.exit(main())
