"""No work twice: patches, unchanged images, the same event ten times, an image that products share."""

import itertools
from collections.abc import Iterator

from tests.benchmarks.result import Result
from tests.benchmarks.scene import Scene
from tests.benchmarks.stack import MESSAGE, Documents, Ours, running_ours
from tests.benchmarks.store import Store

PATCHED = 32 * MESSAGE
"""Products, each patched once a round; they share an image, since there would be a long wait for so many."""
TIMES = 10
SHARED = 32


def run(scene: Scene, name: str) -> Result:
    """The row `repeats-NAME`; everything through Celery and Redis, in full messages."""
    result, px = scene.result(f"repeats-{name}"), scene.sides[0]
    options = scene.model(name).as_options()
    with running_ours(options, scene.store.endpoint_url, scene.data_dir()) as ours:
        keys = itertools.cycle(scene.pictures.keys[px])
        ours.run(ours.upserts(keys, MESSAGE, "warm"))
        rate = MESSAGE / ours.run(ours.upserts(keys, MESSAGE, "rate")).seconds
        count = MESSAGE * max(1, min(8, round(rate * scene.seconds / MESSAGE)))
        patched = ours.upserts(itertools.repeat(next(keys)), PATCHED, "patched")
        ours.run(patched)
        for number in range(scene.rounds):
            scene.say(f"{result.row}: round {number + 1} of {scene.rounds}")
            known = ours.upserts(keys, count, f"known-{number}")
            once = ours.run(known).seconds
            result.figure("once", f"{count} new products, each in one event", unit="s").values.append(once)
            again = ours.run(ours.upserts(keys, count, f"again-{number}") * TIMES).seconds
            figure = result.figure("ten times", f"{count} new products, each event ten times", unit="s")
            figure.values.append(again)
            _unchanged(ours, known, scene.store, result)
            _patches(ours, patched, scene.store, result)
            _shared(ours, keys, number, scene.store, result)
    return result


def _unchanged(ours: Ours, known: list[Documents], store: Store, result: Result) -> None:
    newer = ours.newer()
    messages = [[{**document, "version": newer, "price": 12.5} for document in part] for part in known]
    before = store.answered()
    run = ours.run(messages)
    answered = dict(store.answered() - before)
    if run.embedded or answered != {"304": run.products} or run.applied != run.products:
        raise RuntimeError(
            f"{run.products} products with unchanged images: {run.applied} applied, {run.embedded} embedded, "
            f"the store answered {answered}"
        )
    figure = result.figure(
        "unchanged", "whole products, their images unchanged: each 304, none 200", unit="products/s"
    )
    figure.values.append(run.products / run.seconds)


def _patches(ours: Ours, products: list[Documents], store: Store, result: Result) -> None:
    newer, before = ours.newer(), store.answered()
    messages = [
        [{"id": document["id"], "version": newer, "price": newer % 1000} for document in part]
        for part in products
    ]
    run = ours.run(messages, "products.patch")
    answered = dict(store.answered() - before)
    if run.applied != PATCHED or run.embedded or answered:
        raise RuntimeError(
            f"{PATCHED} patches: {run.applied} applied, {run.embedded} images embedded, the store answered "
            f"{answered}"
        )
    figure = result.figure(
        "patches", f"patches of {PATCHED} products, all applied, no request to the store", unit="products/s"
    )
    figure.values.append(run.applied / run.seconds)


def _shared(ours: Ours, keys: Iterator[str], number: int, store: Store, result: Result) -> None:
    few = itertools.cycle(list(itertools.islice(keys, SHARED)))
    before = store.answered()
    run = ours.run(ours.upserts(few, MESSAGE, f"shared-{number}"))
    fetched = (store.answered() - before)["200"]
    for name, count in (("fetched", fetched), ("embedded", run.embedded)):
        what = f"images {name} for {MESSAGE} products that share {SHARED}"
        result.figure(f"shared, {name}", what, unit="images").values.append(count)
