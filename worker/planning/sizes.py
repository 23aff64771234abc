"""Memory and disk of an index, by arithmetic. Pure.

The constants were measured on shards of the embedded engine, 10,000 to 50,000 products of 1 to 2 rows of 256
and 512 numbers (docs/plan.md has the runs and the error). A Qdrant server runs the same engine.
"""

from dataclasses import dataclass
from math import ceil, log2

from config.settings import Storage

ROW_BYTES: dict[Storage, int] = {"float32": 4, "float16": 2, "int8": 4, "turboquant": 4}
"""Of one number of a row."""
CODE_BITS: dict[Storage, int] = {"int8": 8, "turboquant": 4}
"""Of one number of a row, where the storage has codes."""
CODE_SCALE_BYTES = 8
"""Beside the code of each row."""
PLACE_BYTES = 13
"""Where the rows of a product lie, once for the rows and once for the codes."""
ID_BYTES = 29
INDEX_BYTES = 500
"""A product in the payload indexes on disk; two declared attributes."""
HEAP_BYTES = 1_800
"""A product in memory beside its rows: ids and payload indexes."""
COMPRESSED = 0.75
"""Of a payload's JSON, on disk."""
LOG_BYTES = 64 * 2**20
"""The write-ahead log, at most, in between two flushes."""
LINKS = 32
"""Of a product in the lowest layer of a server's graph, at most (2 m, m = 16)."""


@dataclass(frozen=True, slots=True)
class Catalog:
    """What is to be kept. `payload_bytes` is the JSON of a product's payload, in the mean."""

    products: int
    images: int
    dimension: int
    payload_bytes: float


@dataclass(frozen=True, slots=True)
class Disk:
    """Bytes on disk, one copy."""

    rows: int
    codes: int
    payload: int
    log: int

    @property
    def total(self) -> int:
        """All of it."""
        return self.rows + self.codes + self.payload + self.log


@dataclass(frozen=True, slots=True)
class Memory:
    """Bytes in memory, one copy; `compared` is what every search reads: rows, or codes where there are some.

    `graph` is that of a server, which the embedded engine has none of.
    """

    compared: int
    products: int
    graph: int

    @property
    def embedded(self) -> int:
        """What the embedded engine needs."""
        return self.compared + self.products

    @property
    def server(self) -> int:
        """What a server needs."""
        return self.embedded + self.graph


def disk(catalog: Catalog, storage: Storage) -> Disk:
    """What lies on disk once the catalog is in."""
    row = catalog.dimension * ROW_BYTES[storage]
    payload = ID_BYTES + INDEX_BYTES + COMPRESSED * catalog.payload_bytes
    return Disk(
        rows=catalog.images * row + catalog.products * PLACE_BYTES,
        codes=_codes(catalog, storage),
        payload=round(catalog.products * payload),
        log=LOG_BYTES,
    )


def memory(catalog: Catalog, storage: Storage) -> Memory:
    """What searches keep at hand; rows that only some of them read are left to the disk."""
    rows = catalog.images * catalog.dimension * ROW_BYTES[storage] + catalog.products * PLACE_BYTES
    link_bits = ceil(log2(max(catalog.products, 2)))
    return Memory(
        compared=_codes(catalog, storage) or rows,
        products=catalog.products * HEAP_BYTES,
        graph=ceil(catalog.products * LINKS * link_bits / 8),
    )


def _codes(catalog: Catalog, storage: Storage) -> int:
    if storage not in CODE_BITS:
        return 0
    row = ceil(catalog.dimension * CODE_BITS[storage] / 8) + CODE_SCALE_BYTES
    return catalog.images * row + catalog.products * PLACE_BYTES
