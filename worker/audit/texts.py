"""Many texts in little memory, and what stands for one of them in an array."""

from array import array
from collections.abc import Iterable, Iterator
from hashlib import blake2b

import numpy as np
from numpy.typing import NDArray

Hashes = NDArray[np.uint64]
"""(N,) uint64: 64 bits of text i; 0 stands for no text."""


class Texts:
    """Texts by their number, from 0, in the room of their UTF-8 bytes and eight more."""

    def __init__(self) -> None:
        self._bytes = bytearray()
        self._ends = array("Q", [0])

    def add(self, text: str) -> None:
        """Append one."""
        self._bytes += text.encode(errors="surrogatepass")
        self._ends.append(len(self._bytes))

    def __getitem__(self, number: int) -> str:
        begin, end = self._ends[number], self._ends[number + 1]
        return self._bytes[begin:end].decode(errors="surrogatepass")

    def __iter__(self) -> Iterator[str]:
        return (self[number] for number in range(len(self)))

    def __len__(self) -> int:
        return len(self._ends) - 1


def hash_of(text: str) -> int:
    """64 bits of a text, the same in every process; 0 for none."""
    if not text:
        return 0
    return int.from_bytes(blake2b(text.encode(errors="surrogatepass"), digest_size=8).digest(), "little")


def hashes(texts: Iterable[str]) -> Hashes:
    """`hash_of` of each."""
    return np.fromiter((hash_of(text) for text in texts), np.uint64)
