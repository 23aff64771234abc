"""The storages in the embedded engine's terms."""

import qdrant_edge as edge

from config.settings import Storage
from recommender.index.schema import VECTOR
from recommender.index.storage import CODED, OVERSAMPLING

_Quantization = edge.ScalarQuantizationConfig | edge.TurboQuantQuantizationConfig

_CODES: dict[Storage, _Quantization] = {
    "int8": edge.ScalarQuantizationConfig(edge.ScalarType.Int8, memory=edge.Memory.Pinned),
    "turboquant": edge.TurboQuantQuantizationConfig(
        bits=edge.TurboQuantBitSize.Bits4, memory=edge.Memory.Pinned
    ),
}
# The optimizer is what makes codes of one byte, and without links (m) a graph is none: it only copies.
_NO_GRAPH = edge.HnswIndexConfig(m=0, ef_construct=4, full_scan_threshold=10**6)


def shard_config(dimension: int, storage: Storage, *, codes_from_kb: int | None = None) -> edge.EdgeConfig:
    """A shard of (N, dimension) rows a point, compared by MAX_SIM of cosines.

    Args:
        dimension: of a row.
        storage: of the rows.
        codes_from_kb: rows, in kB, from which int8 makes codes; None leaves it to the engine (10,000).
    """
    vectors = edge.EdgeVectorParams(
        size=dimension,
        distance=edge.Distance.Cosine,
        multivector_config=edge.MultiVectorConfig(edge.MultiVectorComparator.MaxSim),
        datatype=edge.VectorStorageDatatype.Float16 if storage == "float16" else None,
        quantization_config=_CODES.get(storage),
        memory=edge.Memory.Cold if storage in CODED else None,
    )
    return edge.EdgeConfig(
        vectors={VECTOR: vectors},
        hnsw_config=_NO_GRAPH if storage == "int8" else None,
        optimizers=edge.EdgeOptimizersConfig(indexing_threshold=codes_from_kb) if codes_from_kb else None,
    )


def search_of_codes(storage: Storage, *, rescore: bool) -> edge.QuantizationSearchParams | None:
    """What a search is told of the codes; None where there are none."""
    if storage not in CODED:
        return None
    return edge.QuantizationSearchParams(rescore=rescore, oversampling=OVERSAMPLING if rescore else None)
