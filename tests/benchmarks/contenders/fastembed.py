"""FastEmbed end to end: its own ImageEmbedding, the same weights, files by boto3, upserts in batches."""

import json
import os
import shutil
import tempfile
import time
from collections import deque
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from itertools import cycle, islice
from pathlib import Path
from typing import Any

import numpy as np
from fastembed import ImageEmbedding

from recommender.encoders.protocol import Preprocessing
from recommender.encoders.registry import spec_of
from tests.benchmarks.contenders.fetching import by_boto3
from tests.benchmarks.plain_index import PlainIndex
from tests.chaos.servers import members

_FETCHING = 8  # threads
_QUIET_TICKS = 3
_MEMORY = Path("/dev/shm")  # noqa: S108  # so that it need not write to a disk; mkdtemp makes the name
_NAME = "Qdrant/clip-ViT-B-32-vision"
"""One that its worker processes know too; what is run is the folder that is named beside it."""


@contextmanager
def opened(options: dict[str, Any]) -> Iterator[Callable[[dict[str, Any]], Any]]:
    """Options: those of the model, `threads`, `endpoint_url`, `keys` by longer side."""
    os.setpgrp()
    spec = spec_of(options["encoder"])
    folder = Path(options["float_onnx"]).parent
    (folder / "preprocessor_config.json").write_text(json.dumps(preprocessor(spec.preprocessing)))
    model = ImageEmbedding(_NAME, threads=options["threads"], specific_model_path=str(folder))
    keys = {side: cycle(names) for side, names in options["keys"].items()}
    fetch = by_boto3(options["endpoint_url"])
    scratch = Path(tempfile.mkdtemp(dir=_MEMORY if _MEMORY.is_dir() else None))
    index = PlainIndex(scratch / "index", spec.dimension)

    def answer(request: dict[str, Any]) -> float:
        """Images/s over `count` images, from the first fetch to the last upsert; some batches before."""
        batch = request["batch"]
        warm = batch * (4 if request["parallel"] else 1)  # each process has some
        names = list(islice(keys[str(request["px"])], warm + request["count"]))
        clock: list[float] = []

        def paths() -> Iterator[str]:
            yield from _ahead(pool, names[:warm], fetch, scratch)
            _until_quiet()  # its processes have started and have done what they were given
            clock.append(time.perf_counter())
            yield from _ahead(pool, names[warm:], fetch, scratch)

        with ThreadPoolExecutor(_FETCHING) as pool:
            rows = model.embed(paths(), batch_size=batch, parallel=request["parallel"])
            for at in range(0, len(names), batch):
                part = list(islice(rows, batch))
                index.upsert(names[at : at + batch], np.stack(part))
            took = time.perf_counter() - clock[0]
            for _ in rows:  # none is left, and its processes end
                pass
        return float(request["count"] / took)

    with index:
        yield answer
    shutil.rmtree(scratch)


def preprocessor(p: Preprocessing) -> dict[str, Any]:
    """The same transform in FastEmbed's own file format."""
    squash = {"height": p.resize_px, "width": p.resize_px}
    return {
        "do_resize": True,
        "size": squash if p.resize == "squash" else {"shortest_edge": p.resize_px},
        "resample": 3 if p.interpolation == "bicubic" else 2,
        "do_center_crop": p.resize == "crop",
        "crop_size": {"height": p.input_px, "width": p.input_px},
        "do_rescale": True,
        "rescale_factor": 1 / 255,
        "do_normalize": True,
        "image_mean": list(p.mean),
        "image_std": list(p.std),
        "image_processor_type": "CLIPImageProcessor",
    }


def _until_quiet() -> None:
    """Wait until the processes of this group do nothing."""
    before = -_QUIET_TICKS - 1
    while (now := _ticks()) - before > _QUIET_TICKS:
        before = now
        time.sleep(0.5)


def _ticks() -> int:
    """Processor time of this process and those that it started, in clock ticks."""
    total = 0
    for pid in members(os.getpgrp()):
        with suppress(OSError):  # it ended meanwhile
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
            total += int(fields[11]) + int(fields[12])
    return total


def _ahead(
    pool: ThreadPoolExecutor, names: list[str], fetch: Callable[[str], bytes], scratch: Path
) -> Iterator[str]:
    """Paths of fetched files, in order, a few ahead of the reader."""

    def fetched(number: int) -> str:
        path = scratch / f"{number % 4096}.jpg"
        path.write_bytes(fetch(names[number]))
        return str(path)

    waiting: deque[Future[str]] = deque()
    for number in range(len(names)):
        waiting.append(pool.submit(fetched, number))
        if len(waiting) > 64:
            yield waiting.popleft().result()
    while waiting:
        yield waiting.popleft().result()
