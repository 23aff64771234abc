"""No work twice: patches, unchanged images, the same event ten times, an image that products share."""

import itertools
import time
from collections.abc import Iterator
from typing import Any

from tests.benchmarks.result import Result
from tests.benchmarks.scene import Scene
from tests.benchmarks.stack import MESSAGE, Documents, Ours, full_messages, running_ours

PATCHED = 32 * MESSAGE
TIMES = 10


def run(scene: Scene, name: str) -> Result:
    """The row `repeats-NAME`; everything through Celery and Redis, in full messages."""
    result, px = scene.result(f"repeats-{name}"), scene.sides[0]
    options = scene.model(name).as_options()
    with running_ours(options, scene.store.endpoint_url, scene.data_dir()) as ours:
        keys = itertools.cycle(scene.pictures.keys[px])
        ours.run(ours.upserts(keys, MESSAGE, "warm"))
        rate = MESSAGE / ours.run(ours.upserts(keys, MESSAGE, "rate")).seconds
        count = MESSAGE * max(1, min(8, round(rate * scene.seconds / MESSAGE)))
        for number in range(scene.rounds):
            scene.say(f"{result.row}: round {number + 1} of {scene.rounds}")
            known = ours.upserts(keys, count, f"known-{number}")
            once = ours.run(known).seconds
            result.figure("once", f"{count} new products, each in one event", unit="s").values.append(once)
            again = ours.run(ours.upserts(keys, count, f"again-{number}") * TIMES).seconds
            figure = result.figure("ten times", f"{count} new products, each event ten times", unit="s")
            figure.values.append(again)
            _unchanged(ours, known, result)
            _patches(ours, known, result)
            _shared(ours, keys, number, result)
    return result


def _unchanged(ours: Ours, known: list[Documents], result: Result) -> None:
    newer = time.time_ns() // 1_000_000
    messages = [[{**document, "version": newer, "price": 12.5} for document in part] for part in known]
    run = ours.run(messages)
    assert run.embedded == 0, f"{run.embedded} unchanged images were embedded"
    figure = result.figure("unchanged", "whole products, their images unchanged", unit="products/s")
    figure.values.append(run.products / run.seconds)


def _patches(ours: Ours, known: list[Documents], result: Result) -> None:
    ids = itertools.cycle([document["id"] for part in known for document in part])
    first = time.time_ns() // 1_000_000 + 1000

    def patches() -> Iterator[dict[str, Any]]:
        for number in range(PATCHED):
            yield {"id": next(ids), "version": first + number, "price": number / 100}

    run = ours.run(full_messages(patches()), "products.patch")
    result.figure("patches", f"{PATCHED} patches", unit="products/s").values.append(
        run.products / run.seconds
    )


def _shared(ours: Ours, keys: Iterator[str], number: int, result: Result) -> None:
    few = itertools.cycle(list(itertools.islice(keys, 32)))
    run = ours.run(ours.upserts(few, MESSAGE, f"shared-{number}"))
    figure = result.figure("shared", f"images embedded for {MESSAGE} products that share 32", unit="images")
    figure.values.append(run.embedded)
