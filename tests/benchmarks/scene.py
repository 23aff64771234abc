"""What every row needs: pictures, an object store, the models, a folder, and how long to measure."""

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.benchmarks import machine, model, pictures
from tests.benchmarks.contender import Contender
from tests.benchmarks.contenders.fetching import KEY
from tests.benchmarks.result import Result
from tests.benchmarks.store import Store, running_store

SIDES = (400, 1000)


@dataclass(frozen=True)
class Scene:
    """Shared by the rows, which run one after the other."""

    folder: Path
    photos: Path | None
    pictures: pictures.Pictures
    store: Store
    store_root: Path
    sides: tuple[int, ...]
    rounds: int
    seconds: float
    """That one measurement lasts."""
    device: str = "cpu"
    rivals: bool = True

    def model(self, name: str) -> model.Model:
        """The files of a model, made on first use."""
        if not model.files_of(name, self.folder / "models").float_onnx.exists():
            self.say(f"{name}: exporting the graphs")
            command = [sys.executable, "-W", "ignore", "-m", "tests.benchmarks.model", name]
            with (self.folder / "export.log").open("ab") as log:
                subprocess.run([*command, str(self.folder / "models")], check=True, stdout=log, stderr=log)
        return model.files_of(name, self.folder / "models")

    def contender(self, module: str, **options: Any) -> Contender:
        """One side of a comparison; the context ends it."""
        common = {
            "endpoint_url": self.store.endpoint_url,
            "keys": {side: self.pictures.keys[side] for side in self.sides},
            "threads": machine.cores(),
            "device": self.device,
        }
        return Contender(module, common | options, self.folder / f"{module}.log")

    def data_dir(self) -> Path:
        """A new folder for a worker."""
        return Path(tempfile.mkdtemp(prefix="data-", dir=self.folder))

    def result(self, row: str) -> Result:
        """An empty one, with everything that is the same for all rows."""
        facts = {
            "object store": self.store.kind,
            "photos": self.pictures.origin,
            "mean bytes": {str(side): size for side, size in self.pictures.mean_bytes.items()},
            "rounds": self.rounds,
            "device": self.device,
        }
        return Result(row, facts=facts, machine=machine.describe())

    @staticmethod
    def say(text: str) -> None:
        """A line for whoever waits."""
        print(text, file=sys.stderr, flush=True)


@contextmanager
def set_up(
    folder: Path,
    photos: Path | None,
    sides: tuple[int, ...],
    rounds: int,
    seconds: float,
    device: str = "cpu",
    *,
    rivals: bool = True,
) -> Iterator[Scene]:
    """Prepare the pictures and start the object store."""
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        os.environ[name] = KEY
    root = folder / f"root-{photos.name if photos else 'drawn'}"
    prepared = pictures.prepare(root, sides, photos)
    with running_store(root, folder / "nginx") as store:
        yield Scene(folder, photos, prepared, store, root, sides, rounds, seconds, device, rivals)
