"""Row 5: versions shuffled and tripled, deletes among them, on both index engines, against an oracle."""

import os
import secrets
from collections import Counter
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import hypothesis
import numpy as np
from hypothesis import HealthCheck, given
from hypothesis.errors import FlakyFailure
from PIL import Image
from qdrant_client import QdrantClient

from config.settings import Settings
from tests.chaos.pictures import GRID
from tests.chaos.result import Result, Size
from tests.chaos.shuffle.bench import Bench
from tests.chaos.shuffle.comparison import Mismatch
from tests.chaos.shuffle.sequences import IMAGES, Arrivals, arrivals
from tests.integration.index.qdrant_servicer import qdrant_server

FULL, SHORT = 2000, 50
REAL_SERVER = "LOOKALIKE_TEST_QDRANT_URL"
REAL_PORT = "LOOKALIKE_TEST_QDRANT_GRPC_PORT"


def run(size: Size) -> list[Result]:
    seed, examples = secrets.randbits(32), SHORT if size.short else FULL
    with _memory() as folder:
        uris = _draw_pictures(folder)
        results = [
            _run("embedded", _settings(folder, {"url": f"edge:{folder}/embedded"}), uris, seed, examples)
        ]
        (folder / "server").mkdir()
        with qdrant_server(folder / "server") as (port, _):
            index = {"url": "http://127.0.0.1:6333", "grpc_port": port}
            subject = "server engine, over gRPC to a stand-in"
            results.append(_run(subject, _settings(folder, index), uris, seed, examples))
        if url := os.environ.get(REAL_SERVER):
            with _catalog_of_its_own(url) as catalog:
                index = {"url": url, "grpc_port": int(os.environ.get(REAL_PORT, "6334"))}
                results.append(_run("Qdrant server", _settings(folder, index, catalog), uris, seed, examples))
    return results


def _run(subject: str, settings: Settings, uris: Sequence[str], seed: int, examples: int) -> Result:
    mismatches: list[Mismatch] = []
    checked = 0
    with Bench(settings, uris) as bench:

        @hypothesis.seed(seed)
        @hypothesis.settings(
            max_examples=examples,
            database=None,
            deadline=None,
            report_multiple_bugs=False,
            suppress_health_check=list(HealthCheck),
        )
        @given(arrivals)
        def check(found: Arrivals) -> None:
            nonlocal checked
            checked += 1
            try:
                bench.check(found)
            except Mismatch as error:
                mismatches.append(error)
                raise

        with suppress(Mismatch, FlakyFailure):  # a race that was lost once may be won the next time
            check()
    counts = Counter(error.kind for error in mismatches[-1:])
    violations = [f"{error}; {' '.join(getattr(error, '__notes__', ()))}" for error in mismatches[-1:]]
    if not bench.faults["races lost"]:
        violations.append("no write lost a race: nothing was interleaved")
    return Result(
        "shuffle",
        subject,
        bench.delivered,
        lost=counts["lost"],
        stale=counts["stale"],
        resurrected=counts["resurrected"],
        notes=f"{checked:,} sequences, seed {seed}; injected: {_told(bench.faults)}",
        violations=tuple(violations),
    )


def _told(faults: dict[str, int]) -> str:
    return ", ".join(f"{count:,} {name}" for name, count in sorted(faults.items()))


def _settings(folder: Path, index: dict[str, Any], catalog: str = "shuffle") -> Settings:
    images = {"local_root": folder}
    return Settings(_env_file=None, catalog=catalog, data_dir=folder, index=index, images=images)


def _draw_pictures(folder: Path) -> list[str]:
    """The pictures that the sequences name by number: the last is missing, the one before it no image."""
    paths = [folder / f"{n}.png" for n in range(IMAGES)]
    for n, path in enumerate(paths[:-2]):
        blocks = np.random.default_rng(n).integers(0, 256, (GRID, GRID, 3), dtype=np.uint8)
        Image.fromarray(blocks).save(path)
    paths[-2].write_text("<html>not found</html>")
    return [f"file://{path}" for path in paths]


@contextmanager
def _memory() -> Iterator[Path]:
    """A folder in memory where there is one: to create a collection waits for the disk a lot."""
    memory = Path("/dev/shm")  # noqa: S108  # a folder of random name below it
    with TemporaryDirectory(dir=memory if memory.is_dir() else None, prefix="chaos-") as name:
        yield Path(name)


@contextmanager
def _catalog_of_its_own(url: str) -> Iterator[str]:
    catalog = f"shuffle-{secrets.token_hex(4)}"
    yield catalog
    client = QdrantClient(url=url)
    for collection in client.get_collections().collections:
        if collection.name.startswith(catalog):
            client.delete_collection(collection.name)
    client.close()
