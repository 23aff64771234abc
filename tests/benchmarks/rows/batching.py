"""The dynamic batcher: at saturation against a fixed-batch loop, and a single image's latency when idle."""

from tests.benchmarks.result import Result
from tests.benchmarks.scene import Scene

BATCH = 32


def run(scene: Scene, name: str) -> Result:
    """The row `batcher-NAME`."""
    result = scene.result(f"batcher-{name}")
    options = scene.model(name).as_options()
    with scene.contender("batching", **options, batch=BATCH) as contender:
        for number in range(scene.rounds):
            scene.say(f"{result.row}: round {number + 1} of {scene.rounds}")
            seconds = scene.seconds
            rate = contender.ask(what="fixed", seconds=seconds)
            result.figure("fixed", f"a loop of batches of {BATCH}").values.append(rate)
            rate = contender.ask(what="saturated", seconds=seconds)
            result.figure("saturated", "8 callers of 64 images").values.append(rate)
            ours, bare = contender.ask(what="alone", seconds=seconds)
            result.figure("idle", "one image, by the batcher", unit="ms").values.append(ours)
            result.figure("idle, bare", "one image, a bare batch of one", unit="ms").values.append(bare)
    return result
