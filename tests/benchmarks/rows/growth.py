"""From 1,000 to 100,000 products: what one more costs besides its image, and the memory of the process."""

from tests.benchmarks.result import Result
from tests.benchmarks.scene import Scene

STEPS = (1_000, 2_000, 4_000, 8_000, 16_000, 25_000, 50_000, 75_000, 100_000)
MORE = 1024
"""Products that are added in a round."""
COSTS = {
    "ms": "by the clock",
    "processor_ms": "of processor time",
    "write_ms": "by the clock, in writes",
}


def run(scene: Scene) -> Result:
    """The row `growth`, with stored vectors of compact's dimension.

    The curve comes first; then an index of 100,000 and one of 1,000 grow in turn, so that a machine that
    slows down slows both.
    """
    result = scene.result("growth")
    options = scene.model("compact").as_options()
    with scene.contender("growing", **options) as many, scene.contender("growing", **options) as few:
        result.facts["curve"] = curve = []
        for products in STEPS:
            curve.append(many.ask(products=products))
            scene.say(f"growth: {curve[-1]}")
        few.ask(products=STEPS[0])
        for _ in range(max(5, scene.rounds)):
            for size, contender in ((STEPS[0], few), (STEPS[-1], many)):
                found = contender.ask(more=MORE)
                for cost, what in COSTS.items():
                    figure = result.figure(f"{cost} at {size}", what, unit="ms a product")
                    figure.values.append(found[cost])
    return result
