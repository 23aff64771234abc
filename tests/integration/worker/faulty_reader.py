"""A worker's main module whose decoder is ended or wedged by marked images; see test_isolation.py.

A spawned child imports the main module of its parent, so it has the same faults.
"""

import ctypes
import json
import os
import sys
import time
from typing import Any

from recommender.errors import ProcessLost
from worker import embedding, isolation
from worker.embedding import Embedded, NotModified
from worker.plan import ImageKey

_input_of = embedding.input_of


def _input_or_worse(data: bytes, **options: Any) -> Any:
    if data.endswith(b"EXIT"):
        os._exit(9)
    if data.endswith(b"SEGFAULT"):
        ctypes.string_at(0)
    if data.endswith(b"MEMORY"):
        raise MemoryError
    if data.endswith(b"HANG"):
        time.sleep(3600)
    return _input_of(data, **options)


embedding.input_of = _input_or_worse
isolation.READ_WITHIN_S = 5.0


def main() -> None:
    """Read the images that the arguments name, and print what became of each."""
    from config.settings import load_settings  # noqa: PLC0415

    settings = load_settings()
    process = isolation.ImageProcess(settings)
    for argument in sys.argv[1:]:
        uri, _, etag = argument.partition(",")
        try:
            found = process.read(ImageKey(uri, etag or None), settings.encoder, lambda: None)
        except ProcessLost as error:
            said = ["lost", str(error)]
        else:
            if isinstance(found, Embedded):
                said = ["embedded", [round(float(x), 4) for x in found.row], found.etag]
            else:
                said = [type(found).__name__, "" if isinstance(found, NotModified) else str(found)]
        pid = process._process.pid if process._process else None
        sys.stdout.write(json.dumps([*said, pid]) + "\n")
        sys.stdout.flush()
    process.close()


if __name__ == "__main__":
    main()
