"""What stands for a text in an array: of ids, URIs and ETags by the hundred thousand."""

from collections.abc import Iterable
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
"""(N,) uint64: the hash of text i."""
_BYTES = 8


def hash_of(text: str) -> int:
    """64 bits of a text, the same in every process; 0 for an empty one."""
    return int.from_bytes(_digest(text), "little")


def hashes(texts: Iterable[str]) -> Hashes:
    """`hash_of` of each."""
    return np.frombuffer(b"".join(map(_digest, texts)), "<u8")


def plain_etag(etag: str | None) -> str:
    """Without its quotes: stores list it with or without. Empty for none."""
    return (etag or "").strip('"')


def _digest(text: str) -> bytes:
    if not text:
        return bytes(_BYTES)
    return blake2b(text.encode(errors="surrogatepass"), digest_size=_BYTES).digest()
