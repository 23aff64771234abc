"""Decode and resize alone, of bytes in memory: ours, Pillow, and whatever else is installed."""

from tests.benchmarks.machine import cores
from tests.benchmarks.result import Result
from tests.benchmarks.scene import Scene


def run(scene: Scene) -> Result:
    """The row `decoding`: to ResNet-50's input, by one thread and by one a core."""
    result = scene.result("decoding")
    with scene.contender("decode", encoder="resnet50") as contender:
        names = contender.ask(names=True)["decoders"]
        for _ in range(scene.rounds):
            for px in scene.sides:
                for threads in sorted({1, cores()}):
                    for name in names:
                        request = {"fetch": "memory", "decoder": name, "threads": threads, "px": px}
                        rate = contender.ask(**request, seconds=scene.seconds / 4)
                        figure = result.figure(f"{name}, {threads} threads", "decode and resize", px=px)
                        figure.values.append(rate)
    return result
