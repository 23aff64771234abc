"""`python -m tests.chaos.reopen.process FOLDER PLAN`: the process that owns an embedded index, and is killed.

PLAN holds a JSON object a line. Its standard output says when a step or a flush begins, and when a step
has returned.
"""

import json
import sys
from collections.abc import Callable
from pathlib import Path

from recommender.index import embedded_points
from recommender.index.embedded import EmbeddedEngine
from recommender.index.embedded_points import EdgeStore
from recommender.index.schema import Schema
from tests.chaos.reopen.writes import DIMENSION, FINGERPRINT, Planned

SCHEMA = Schema("chaos")
FLUSH_EVERY_POINTS = 100
"""So often that kills meet flushes, too."""


def _told(flush: Callable[[EdgeStore], None]) -> Callable[[EdgeStore], None]:
    def tell_and_flush(store: EdgeStore) -> None:
        print("flush", flush=True)
        flush(store)

    return tell_and_flush


def main() -> None:
    embedded_points._FLUSH_EVERY_POINTS = FLUSH_EVERY_POINTS
    EdgeStore.flush = _told(EdgeStore.flush)  # type: ignore[assignment,method-assign]
    folder, plan = (Path(argument) for argument in sys.argv[1:])
    engine = EmbeddedEngine(folder, SCHEMA)
    steps = [json.loads(line) for line in plan.read_text().splitlines()]
    print("ready", flush=True)
    index = engine.open(FINGERPRINT) if "write" in steps[0] else None
    for step in steps:
        print("begin", flush=True)
        if "create" in step:
            engine.create(step["create"], DIMENSION)
        elif "promote" in step:
            engine.promote(step["promote"])
        elif "drop" in step:
            engine.drop(step["drop"])
        else:
            assert index is not None
            lost = index.write([Planned(**write).as_write() for write in step["write"]])
            assert not lost, lost
        print("done", flush=True)


if __name__ == "__main__":
    main()
