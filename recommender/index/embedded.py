"""The embedded engine's collections: folders, and a pointer file as alias. One process owns them."""

import json
import os
import shutil
import threading
from contextlib import closing
from pathlib import Path
from typing import Any

from config.settings import Storage
from recommender.encoders.recipe import Recipe
from recommender.index.embedded_points import EdgeStore, create_shard
from recommender.index.products import PointIndex
from recommender.index.protocol import Collection
from recommender.index.schema import Schema
from recommender.index.storage import say_what_stays


class EmbeddedEngine:
    """The collections of one catalog below one folder; implements `IndexEngine`.

    `CATALOG.FINGERPRINT/` holds a collection: `shard/` is the engine's, `collection.json` says its
    dimension, its storage and its encoder's recipe. The file `CATALOG.serving` is the alias. One process owns
    a collection at a time.

    Args:
        folder: of all of them.
        schema: that of the catalog.
        storage: of a collection that is created.
        rescore: whether what codes find is compared by the rows, too.
    """

    def __init__(
        self, folder: Path, schema: Schema, storage: Storage = "float32", *, rescore: bool = True
    ) -> None:
        self._folder = folder
        self._schema = schema
        self._storage: Storage = storage
        self._rescore = rescore
        self._stores: dict[str, EdgeStore] = {}
        self._lock = threading.Lock()  # over _stores and the folder

    def create(self, fingerprint: str, dimension: int, recipe: Recipe | None = None) -> None:
        """Create the collection and its payload indexes, before any point; a no-op if it exists.

        It is built aside and renamed, so that a kill leaves all of it or nothing.
        """
        with self._lock:
            path = self._path(fingerprint)
            if path.exists():
                return
            aside = path.with_name(f"{path.name}.partial")
            shutil.rmtree(aside, ignore_errors=True)
            aside.mkdir(parents=True)
            create_shard(aside / "shard", dimension, self._storage)
            store = EdgeStore(aside / "shard", dimension, self._storage)
            store.ensure_indexes(self._schema)
            store.close()
            said = {
                "dimension": dimension,
                "storage": self._storage,
                "recipe": recipe.as_json() if recipe else None,
            }
            _write_durably(aside / "collection.json", json.dumps(said))
            aside.rename(path)
            _sync_folder(self._folder)

    def recipe(self, fingerprint: str) -> Recipe | None:
        """Return the recipe that the collection was created with.

        Raises:
            KeyError: there is none of this fingerprint.
        """
        said = self._said(fingerprint).get("recipe")
        return Recipe.from_json(said) if said else None

    def open(self, fingerprint: str) -> PointIndex:
        """Open one collection; while it is open, every call shares the one shard that can be loaded.

        Raises:
            KeyError: there is none of this fingerprint.
            IndexInUse: another process owns it.
        """
        with self._lock:
            store = self._stores.get(fingerprint)
            if store is None or store.closed:
                store = self._load(fingerprint)
                store.ensure_indexes(self._schema)
                store.encode()
                say_what_stays(self._schema.collection(fingerprint), store.storage, self._storage)
                self._stores[fingerprint] = store
            return PointIndex(store, self._schema, fingerprint)

    def describe(self, fingerprint: str) -> Collection:
        """Look at one collection; changes nothing.

        Raises:
            KeyError: there is none of this fingerprint.
            IndexInUse: another process owns it.
        """
        with self._lock:
            store = self._stores.get(fingerprint)
            if store is not None and not store.closed:
                return store.describe(self._schema)
            with closing(self._load(fingerprint)) as looked_at:
                return looked_at.describe(self._schema)

    def fingerprints(self) -> list[str]:
        """List the fingerprints of all collections of this catalog, sorted."""
        folders = self._folder.iterdir() if self._folder.exists() else ()
        names = [path.name for path in folders if path.is_dir() and path.suffix != ".partial"]
        return sorted(known for name in names if (known := self._schema.fingerprint(name)))

    def serving(self) -> str | None:
        """Return the fingerprint that the alias names; None before the first promotion."""
        return self._alias.read_text().strip() if self._alias.exists() else None

    def promote(self, fingerprint: str) -> None:
        """Point the alias at this collection, atomically.

        Raises:
            KeyError: there is none of this fingerprint.
        """
        with self._lock:
            if not self._path(fingerprint).exists():
                raise KeyError(fingerprint)
            _write_durably(self._alias, f"{fingerprint}\n")

    def drop(self, fingerprint: str) -> None:
        """Delete one collection; the serving one is refused with ValueError."""
        with self._lock:
            if fingerprint == self.serving():
                raise ValueError(f"{fingerprint} is serving: promote another collection first")
            if fingerprint in self._stores:
                self._stores.pop(fingerprint).close()
            path = self._path(fingerprint)
            if path.exists():
                aside = path.with_name(f"{path.name}.partial")
                shutil.rmtree(aside, ignore_errors=True)
                path.rename(aside)
                shutil.rmtree(aside)

    def close(self) -> None:
        """Close every open collection."""
        with self._lock:
            while self._stores:
                self._stores.popitem()[1].close()

    def _load(self, fingerprint: str) -> EdgeStore:
        said = self._said(fingerprint)
        storage = said.get("storage", "float32")  # a collection that says nothing was made before it could
        return EdgeStore(self._path(fingerprint) / "shard", said["dimension"], storage, rescore=self._rescore)

    def _said(self, fingerprint: str) -> dict[str, Any]:
        try:
            text = (self._path(fingerprint) / "collection.json").read_text()
        except FileNotFoundError as error:
            raise KeyError(fingerprint) from error
        return dict(json.loads(text))

    def _path(self, fingerprint: str) -> Path:
        return self._folder / self._schema.collection(fingerprint)

    @property
    def _alias(self) -> Path:
        return self._folder / f"{self._schema.catalog}.serving"


def _write_durably(path: Path, text: str) -> None:
    """Replace the file in one step that a power cut can't halve."""
    aside = path.with_name(f"{path.name}.new")
    with aside.open("w") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    aside.replace(path)
    _sync_folder(path.parent)


def _sync_folder(folder: Path) -> None:
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
