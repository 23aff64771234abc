"""The bare forward of our encoder in every precision, interleaved."""

from contextlib import ExitStack

from tests.benchmarks.contender import Contender, ContenderFailed
from tests.benchmarks.result import Result
from tests.benchmarks.scene import Scene
from tests.benchmarks.store import BUCKET

BATCH = 32
PRECISIONS = ("float32", "half", "int8")


def run(scene: Scene, name: str) -> Result:
    """The row `precision-NAME`."""
    result = scene.result(f"precision-{name}")
    model = scene.model(name)
    drawn = scene.store_root / BUCKET / str(scene.sides[0])
    with ExitStack() as stack:
        contenders: dict[str, Contender] = {}
        for precision in PRECISIONS:
            scene.say(f"{name}: {precision}")
            settings = {"precision": precision}
            if precision == "int8":
                settings["calibration"] = str(drawn)
            contender = stack.enter_context(
                scene.contender("forward", **model.as_options(**settings), kind="ours")
            )
            try:
                contender.ask(batch=BATCH, seconds=scene.seconds / 2)
            except ContenderFailed as error:
                result.facts[precision] = {"refused": error.last_line}
            else:
                contenders[precision] = contender
        for _ in range(scene.rounds):
            for precision, contender in contenders.items():
                rate = contender.ask(batch=BATCH, seconds=scene.seconds)
                result.figure(precision, f"batch {BATCH}").values.append(rate)
    return result
