"""What each storage misses, measured: a sample of the catalog's own rows, kept in every storage and asked."""

from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from math import sqrt
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from numpy.typing import NDArray

from config.settings import Storage
from recommender.catalog import Filter
from recommender.events import MAX_DOCUMENTS, parse_product_event
from recommender.index.embedded_points import EdgeStore, create_shard
from recommender.index.products import PointIndex
from recommender.index.protocol import IndexedImage, Vectors, Write
from recommender.index.schema import Schema
from recommender.index.storage import CODED, STORAGES
from recommender.looks import Looks
from recommender.merge import UNKNOWN, merge

ASKED = 200
"""Products that ask, at most, each for what looks like it."""
WANTED = 10
LEAST_PRODUCTS = 10 * WANTED
"""Of a sample that says anything about the nearest ten."""
_SCHEMA = Schema("plan")
_FINGERPRINT = "plan-0"
_ROUNDING = 1e-5
"""Between two cosines of the same pair; photos that shops reuse tie, and any of them is right."""


@dataclass(frozen=True, slots=True)
class Loss:
    """recall@10 of one storage against the float32 rows, and the half width of its 95% confidence interval.

    `score_off` is how far a score was from the cosine, at most. `rescored` None: a storage without codes.
    """

    storage: Storage
    rescored: bool | None
    recall: float
    interval: float
    score_off: float


def measure(looks: Looks, say: Callable[[str], None]) -> list[Loss]:
    """Measure every storage, those with codes with and without the comparison by rows. Blocks for seconds.

    The engine is the embedded one, without a graph: what a graph misses comes on top, on a server.

    Raises:
        ValueError: fewer than `LEAST_PRODUCTS` products.
    """
    if len(looks) < LEAST_PRODUCTS:
        raise ValueError(
            f"{len(looks)} products are too few to measure recall with: {LEAST_PRODUCTS} or more"
        )
    asked = np.random.default_rng(0).permutation(len(looks))[:ASKED]
    truth = {int(place): _cosines(looks, int(place)) for place in asked}
    losses: list[Loss] = []
    with TemporaryDirectory(prefix="lookalike-plan-") as folder:
        for storage in STORAGES:
            say(f"measuring recall of {storage}")
            shard = Path(folder) / storage
            _fill(shard, looks, storage)
            ways = (False, True) if storage in CODED else (None,)
            losses += [_loss(shard, looks, storage, rescored, truth) for rescored in ways]
    return losses


def _loss(
    shard: Path, looks: Looks, storage: Storage, rescored: bool | None, truth: dict[int, NDArray[np.float32]]
) -> Loss:
    found: list[float] = []
    off = 0.0
    with closing(_opened(shard, looks, storage, rescore=rescored is not False)) as index:
        for place, cosines in truth.items():
            where = Filter(exclude_ids=(str(place),))
            hits = index.search(_rows(looks, place), where, limit=WANTED)
            places = [int(hit.stored.id) for hit in hits]
            least = np.partition(cosines, -WANTED)[-WANTED]
            found.append(float((cosines[places] >= least - _ROUNDING).sum()) / WANTED)
            off = max(
                off, *(abs(hit.score - float(cosines[at])) for hit, at in zip(hits, places, strict=True))
            )
    interval = 1.96 * float(np.std(found)) / sqrt(len(found))
    return Loss(storage, rescored, float(np.mean(found)), interval, off)


def _fill(shard: Path, looks: Looks, storage: Storage) -> None:
    create_shard(shard, looks.vectors.shape[1], storage, codes_from_kb=1)
    with closing(_opened(shard, looks, storage, rescore=True)) as index:
        for batch in _writes(looks):
            index.write(batch)


def _opened(shard: Path, looks: Looks, storage: Storage, *, rescore: bool) -> PointIndex:
    store = EdgeStore(shard, looks.vectors.shape[1], storage, rescore=rescore)
    store.ensure_indexes(_SCHEMA)
    store.encode()
    return PointIndex(store, _SCHEMA, _FINGERPRINT)


def _writes(looks: Looks) -> Iterator[list[Write]]:
    for start in range(0, len(looks), MAX_DOCUMENTS):
        yield [_write(looks, place) for place in range(start, min(start + MAX_DOCUMENTS, len(looks)))]


def _write(looks: Looks, place: int) -> Write:
    rows = _rows(looks, place)
    uris = [f"file:///{place}/{row}" for row in range(len(rows))]
    document = {"id": str(place), "version": 1, "images": ["file:///one"], "category": "plan"}
    state = merge(UNKNOWN, parse_product_event("products.upsert", document))
    images = tuple(IndexedImage(uri, None, row) for row, uri in enumerate(uris))
    return Write(str(place), None, state, images, rows)


def _rows(looks: Looks, place: int) -> Vectors:
    rows: Vectors = looks.vectors[looks.starts[place] : looks.starts[place + 1]]
    return rows


def _cosines(looks: Looks, place: int) -> NDArray[np.float32]:
    """(P,) cosine of the best pair with every product; -inf with itself."""
    best = (looks.vectors @ _rows(looks, place).T).max(axis=1)
    cosines: NDArray[np.float32] = np.maximum.reduceat(best, looks.starts[:-1])
    cosines[place] = -np.inf
    return cosines
