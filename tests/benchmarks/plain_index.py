"""The embedded engine as the rivals use it: plain upserts, no conditions, no payload indexes."""

from pathlib import Path
from typing import Self
from uuid import uuid4

import numpy as np
import qdrant_edge as edge
from numpy.typing import NDArray

from recommender.index.embedded_points import create_shard
from recommender.index.schema import VECTOR


class PlainIndex:
    """One shard below `folder`."""

    def __init__(self, folder: Path, dimension: int) -> None:
        create_shard(folder, dimension)
        self._shard = edge.EdgeShard.load(str(folder))

    def upsert(self, keys: list[str], rows: NDArray[np.float32]) -> None:
        """Write one point a key."""
        points = [
            edge.Point(str(uuid4()), {VECTOR: [row.tolist()]}, {"image": key, "category": "bench"})
            for key, row in zip(keys, rows, strict=True)
        ]
        self._shard.update(edge.UpdateOperation.upsert_points(points))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._shard.close()
