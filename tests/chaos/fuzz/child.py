"""The process that takes the blows: `python -m tests.chaos.fuzz.child KIND SEED FIRST [STOP FOLDER]`.

The file `at` of its folder holds the number of the case in hand, so that its parent knows it whatever
becomes of this process; in the end it is -1. With a first case alone, that case is repeated, and its
traceback is printed.
"""

import json
import mmap
import resource
import struct
import sys
import traceback
import warnings
from collections import Counter
from pathlib import Path
from typing import Protocol

import torch

from tests.chaos.fuzz import documents, images

FOUND = 3
DONE = -1
_WARM_UP = 40


class Kind(Protocol):
    """A module of cases; the n-th of a seed is always the same."""

    RSS_BOUND_BYTES: int

    def make(self, seed: int, n: int) -> bytes: ...

    def check(self, data: bytes, n: int) -> str: ...


KINDS: dict[str, Kind] = {"images": images, "documents": documents}


def main(name: str, seed: str, first: str, stop: str = "", folder: str = "") -> int:
    warnings.simplefilter("ignore")  # in production they are printed, and change nothing
    torch.set_num_threads(1)
    kind = KINDS[name]
    if not folder:
        print(kind.check(kind.make(int(seed), int(first)), int(first)))
        return 0
    at = Path(folder, "at")
    at.write_bytes(struct.pack("q", int(first)))
    with at.open("r+b") as file, mmap.mmap(file.fileno(), 8) as shared:
        outcomes = Counter[str]()
        try:
            for n in range(int(first), int(stop)):
                shared[:] = struct.pack("q", n)
                outcomes[kind.check(kind.make(int(seed), n), n)] += 1
                _check_memory(kind, n - int(first))
        except Exception:  # noqa: BLE001  # finding any is what this is for
            Path(folder, "found").write_text(traceback.format_exc())
            return FOUND
        finally:
            Path(folder, "outcomes").write_text(json.dumps(outcomes))
        shared[:] = struct.pack("q", DONE)
    return 0


_before = 0


def _check_memory(kind: Kind, done: int) -> None:
    """The peak may not pass what this process needs for valid cases by more than the stated bound."""
    global _before  # noqa: PLW0603  # the peak of a process is one
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    if done <= _WARM_UP:
        _before = peak
    if peak > _before + kind.RSS_BOUND_BYTES:
        raise MemoryError(f"{peak - _before:,} bytes at peak, over the bound of {kind.RSS_BOUND_BYTES:,}")


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
