"""The storages in the terms of a Qdrant server.

Placement is said by `on_disk` and `always_ram`, since servers before 1.19 don't know what replaced them.
"""

from qdrant_client import models

from config.settings import Storage
from recommender.index.storage import CODED, OVERSAMPLING

OLDEST_WITH: dict[Storage, tuple[int, int]] = {"turboquant": (1, 18)}
"""The first server that has a storage, where that is not any."""

_CODES: dict[Storage, models.QuantizationConfig] = {
    "int8": models.ScalarQuantization(
        scalar=models.ScalarQuantizationConfig(type=models.ScalarType.INT8, always_ram=True)
    ),
    "turboquant": models.TurboQuantization(
        turbo=models.TurboQuantQuantizationConfig(bits=models.TurboQuantBitSize.BITS4, always_ram=True)
    ),
}


def vector_params(dimension: int, storage: Storage) -> models.VectorParams:
    """(N, dimension) rows a point, compared by MAX_SIM of cosines."""
    return models.VectorParams(
        size=dimension,
        distance=models.Distance.COSINE,
        multivector_config=models.MultiVectorConfig(comparator=models.MultiVectorComparator.MAX_SIM),
        datatype=models.Datatype.FLOAT16 if storage == "float16" else None,
        quantization_config=_CODES.get(storage),
        on_disk=True if storage in CODED else None,
    )


def storage_of(vectors: models.VectorParams) -> Storage:
    """The storage that a collection was created with."""
    if isinstance(vectors.quantization_config, models.ScalarQuantization):
        return "int8"
    if isinstance(vectors.quantization_config, models.TurboQuantization):
        return "turboquant"
    return "float16" if vectors.datatype == models.Datatype.FLOAT16 else "float32"


def search_of_codes(storage: Storage, *, rescore: bool) -> models.QuantizationSearchParams | None:
    """What a search is told of the codes; None where there are none."""
    if storage not in CODED:
        return None
    return models.QuantizationSearchParams(rescore=rescore, oversampling=OVERSAMPLING if rescore else None)
