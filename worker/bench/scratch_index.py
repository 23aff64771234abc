"""A collection of the benchmark's own, on the engine of the settings, dropped in the end."""

import secrets
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from config.settings import Settings
from recommender.index.open import open_engine
from recommender.index.protocol import ProductIndex


@contextmanager
def scratch_index(settings: Settings, fingerprint: str, dimension: int) -> Iterator[ProductIndex]:
    """An empty one; the catalog's own is not touched.

    The embedded engine gets a folder of its own beside the data, on the same disk.

    Raises:
        IndexUnavailable: the server does not answer.
    """
    catalog = f"bench-{secrets.token_hex(6)}"
    changed: dict[str, object] = {"catalog": catalog}
    folder: Path | None = None
    if settings.index_is_embedded:
        settings.data_dir.mkdir(parents=True, exist_ok=True)
        folder = Path(tempfile.mkdtemp(prefix=f"{catalog}-", dir=settings.data_dir))
        changed["index"] = settings.index.model_copy(update={"url": f"edge:{folder}"})
    try:
        engine = open_engine(settings.model_copy(update=changed))
        try:
            engine.create(fingerprint, dimension)
            index = engine.open(fingerprint)
            try:
                yield index
            finally:
                index.close()
                engine.drop(fingerprint)
        finally:
            engine.close()
    finally:
        if folder is not None:
            shutil.rmtree(folder)
