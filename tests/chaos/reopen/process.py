"""`python -m tests.chaos.reopen.process FOLDER PLAN`: the process that owns an embedded index, and is killed.

PLAN holds a JSON object a line. Says on its standard output when a step begins and when it has returned.
"""

import json
import sys
from pathlib import Path

import recommender.index.embedded_points
from recommender.index.embedded import EmbeddedEngine
from recommender.index.schema import Schema
from tests.chaos.reopen.writes import DIMENSION, FINGERPRINT, Planned

SCHEMA = Schema("chaos")
FLUSH_EVERY_POINTS = 200
"""So often that kills meet flushes, too."""


def main() -> None:
    recommender.index.embedded_points._FLUSH_EVERY_POINTS = FLUSH_EVERY_POINTS
    folder, plan = (Path(argument) for argument in sys.argv[1:])
    engine = EmbeddedEngine(folder, SCHEMA)
    steps = [json.loads(line) for line in plan.read_text().splitlines()]
    print("ready", flush=True)
    index = engine.open(FINGERPRINT) if "write" in steps[0] else None
    for number, step in enumerate(steps):
        print("begin", number, flush=True)
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
        print("done", number, flush=True)


if __name__ == "__main__":
    main()
