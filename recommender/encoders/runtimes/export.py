"""The image graph as an ONNX file, written once and kept."""

import logging
import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from uuid import uuid4

import torch

from recommender.encoders.runtimes.runtime import ImageGraph

log = logging.getLogger(__name__)

INPUT, OUTPUT = "pixels", "rows"
PARTIAL = "partial-"
"""What the name of anything begins with that is still being written."""
_ABANDONED_S = 86_400


@contextmanager
def graph_folder(kept: Path | None) -> Iterator[Path]:
    """Give the folder that graphs are kept in; one that goes away after use where it can't be written."""
    if kept is not None:
        try:
            kept.mkdir(parents=True, exist_ok=True)
            tempfile.TemporaryFile(dir=kept).close()
        except OSError as error:
            log.warning("graphs_not_kept", extra={"folder": str(kept), "error": str(error)})
        else:
            yield kept
            return
    with tempfile.TemporaryDirectory(prefix="lookalike-graphs-") as folder:
        yield Path(folder)


def export_graph(graph: ImageGraph, input_px: int, path: Path) -> Path:
    """Write the graph, on the host in float32, for batches of any size; takes seconds, once."""

    def write(target: Path) -> None:
        example = torch.zeros(2, 3, input_px, input_px, dtype=torch.uint8)
        torch.onnx.export(
            graph,
            (example,),
            target,
            dynamo=True,
            dynamic_shapes=({0: torch.export.Dim("batch")},),
            input_names=[INPUT],
            output_names=[OUTPUT],
            external_data=False,
            verbose=False,
        )

    return written(path, write)


def written(path: Path, write: Callable[[Path], None]) -> Path:
    """Return the path; `write` makes the file where there is none, and others see all of it or nothing."""
    if not path.exists():
        _remove_abandoned(path.parent)
        # Of any process of any machine that shares the folder: numbers of processes repeat in containers.
        partial = path.with_name(f"{PARTIAL}{uuid4().hex}-{path.name}")
        try:
            write(partial)
            with partial.open("rb") as file:  # else a power cut may leave the name without the bytes
                os.fsync(file.fileno())
            partial.replace(path)
        finally:
            partial.unlink(missing_ok=True)
    return path


def _remove_abandoned(folder: Path) -> None:
    """Remove what processes that were killed had begun to write."""
    for partial in folder.glob(f"{PARTIAL}*"):
        with suppress(OSError):  # another process removes it too, or it is another user's
            if time.time() - partial.stat().st_mtime > _ABANDONED_S:
                if partial.is_dir():
                    shutil.rmtree(partial, ignore_errors=True)
                else:
                    partial.unlink()
