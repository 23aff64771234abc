"""Other ways to answer: another search of the same collection, another storage, another collection."""

import re
import tempfile
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import numpy as np

from config.settings import PREFIX, Settings, Storage
from recommender.errors import InvalidQuery
from recommender.events import Upsert
from recommender.index.embedded_points import EdgeStore, create_shard
from recommender.index.open import open_engine
from recommender.index.products import PointIndex
from recommender.index.protocol import IndexedImage, ProductIndex, StoredProduct, Vectors, Write
from recommender.index.schema import Schema
from recommender.index.strategy import EXACT, Strategy
from recommender.looks import Places
from recommender.merge import UNKNOWN, merge
from worker.evaluation.subjects import Subjects
from worker.progress import progress

_WALK = re.compile(r"(graph|acorn)(?::([1-9][0-9]{0,4}))?")
_BATCH = 256


def strategy_of(text: str) -> Strategy | None:
    """`exact`, `graph` or `acorn` with the beam after a colon, or `default`: the index's own choice.

    Raises:
        InvalidQuery: it is none of these.
    """
    if text == "default":
        return None
    if text == "exact":
        return EXACT
    walk = _WALK.fullmatch(text)
    if walk is None:
        raise InvalidQuery("against-search", f"{text!r} is not default, exact, graph:EF or acorn:EF")
    return Strategy(text, acorn=walk[1] == "acorn", ef=int(walk[2]) if walk[2] else None)


@contextmanager
def on_server(settings: Settings, fingerprint: str) -> Iterator[ProductIndex]:
    """A collection of the Qdrant server, opened by this process.

    Raises:
        InvalidQuery: the index is embedded, hence one process's own, or there is no such collection.
        IndexUnavailable: the server does not answer.
    """
    if settings.index_is_embedded:
        raise InvalidQuery(
            "index",
            f"{PREFIX}INDEX__URL names an embedded index: one process owns it, and answers exactly; compare "
            "another encoder (--against-encoder) or storage (--against-storage)",
        )
    with closing(open_engine(settings)) as engine:
        try:
            index = engine.open(fingerprint)
        except KeyError as error:
            known = ", ".join(engine.fingerprints())
            raise InvalidQuery("collection", f"there is no {fingerprint}; the index has: {known}") from error
        yield index


def rows_in(index: ProductIndex, subjects: Subjects) -> tuple[Vectors, Places]:
    """What another collection has of the subjects' images, and which of the subjects' rows these are."""
    found: list[Vectors] = []
    rows: list[int] = []
    starts, uris = subjects.looks.starts.tolist(), subjects.uris
    with progress("reading", len(subjects.ids)) as advance:
        for begin in range(0, len(subjects.ids), _BATCH):
            ids = subjects.ids[begin : begin + _BATCH]
            stored = index.read(ids, vectors=True)
            for place, name in enumerate(ids, start=begin):
                there = _by_uri(stored.get(name))
                for row in range(starts[place], starts[place + 1]):
                    if (vector := there.get(uris[row])) is not None:
                        found.append(vector)
                        rows.append(row)
            advance(len(ids))
    if not rows:
        raise InvalidQuery("collection", f"{index.fingerprint} holds none of {len(subjects.images)} images")
    return np.stack(found), np.array(rows, np.int64)


@contextmanager
def stored_as(storage: Storage, subjects: Subjects, settings: Settings) -> Iterator[ProductIndex]:
    """A collection of the embedded engine, with codes where the storage has them; gone with the context."""
    dimension = subjects.looks.vectors.shape[1]
    with tempfile.TemporaryDirectory(prefix="lookalike-evaluate-") as folder:
        path = Path(folder) / "shard"
        create_shard(path, dimension, storage, codes_from_kb=1)
        store = EdgeStore(path, dimension, storage, rescore=settings.index.rescore)
        with closing(PointIndex(store, Schema("evaluation"), subjects.encoder)) as index:
            with progress("storing", len(subjects.ids)) as advance:
                for begin in range(0, len(subjects.ids), _BATCH):
                    batch = range(begin, min(begin + _BATCH, len(subjects.ids)))
                    index.write([_write(subjects, place) for place in batch])
                    advance(len(batch))
            store.encode()
            yield index


def _by_uri(stored: StoredProduct | None) -> dict[str, Vectors]:
    if stored is None or stored.vectors is None:
        return {}
    return {image.uri: stored.vectors[image.row] for image in stored.images if image.row is not None}


def _write(subjects: Subjects, place: int) -> Write:
    """A product of which nothing is known but its rows."""
    own = subjects.looks.vectors[subjects.looks.starts[place] : subjects.looks.starts[place + 1]]
    images = tuple(IndexedImage(f"s3://evaluation/{row}", None, row) for row in range(len(own)))
    document = {"id": subjects.ids[place], "version": 1, "images": [images[0].uri], "category": "evaluated"}
    return Write(subjects.ids[place], None, merge(UNKNOWN, Upsert.model_validate(document)), images, own)
