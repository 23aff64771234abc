"""From 1,000 to 100,000 products: what one more costs besides its image, and the memory of the process."""

from tests.benchmarks.result import Result
from tests.benchmarks.scene import Scene

STEPS = (1_000, 2_000, 4_000, 8_000, 16_000, 25_000, 50_000, 75_000, 100_000)


def run(scene: Scene) -> Result:
    """The row `growth`, with stored vectors of compact's dimension."""
    result = scene.result("growth")
    curve = []
    with scene.contender("growing", **scene.model("compact").as_options()) as contender:
        for products in STEPS:
            found = contender.ask(products=products)
            scene.say(f"growth: {found}")
            curve.append(found)
    result.facts["curve"] = curve
    for name, points in (("few", curve[1:4]), ("many", curve[-3:])):
        what = f"up to {points[-1]['products']:,} products"
        figure = result.figure(name, what, unit="processor ms a product")
        figure.values += [point["processor_ms"] for point in points]
    return result
