"""How a collection keeps its rows, and what its searches compare. Said once, for both engines.

| storage | kept for each number of a row | a search compares |
|---|---|---|
| float32 | 4 bytes | the rows |
| float16 | 2 bytes | the rows |
| int8 | 4 bytes, left on the disk, and a code of 1 byte in memory | codes, the best of them by rows |
| turboquant | 4 bytes, left on the disk, and a code of half a byte in memory | as int8 |

A collection keeps the storage that it was created with; the setting says which one the next gets. An exact
search (`Strategy.exact`) compares the rows, whatever the storage, so that the recall of live searches, which
is measured against it, tells what codes miss.
"""

import logging

import numpy as np

from config.settings import Storage
from recommender.index.protocol import Vectors

log = logging.getLogger(__name__)

STORAGES: tuple[Storage, ...] = ("float32", "float16", "int8", "turboquant")
CODED: tuple[Storage, ...] = ("int8", "turboquant")
OVERSAMPLING = 2.0
"""How many times as many as are wanted are taken by their codes, to be compared by their rows."""


def as_asked(rows: Vectors, storage: Storage) -> Vectors:
    """Rows as a collection of this storage gives them back, (N, D), at unit L2 norm again.

    Half of float16's rows come back longer than 1, by 0.00005 or so.
    """
    if storage != "float16" or not len(rows):
        return rows
    scaled: Vectors = rows / np.linalg.norm(rows, axis=1, keepdims=True)
    return scaled


def say_what_stays(collection: str, kept: Storage, configured: Storage) -> None:
    """Log that a collection keeps its own storage, where the settings name another for the next one."""
    if kept != configured:
        said = {"collection": collection, "storage": kept, "configured": configured}
        log.warning("index_storage_stays", extra=said)
