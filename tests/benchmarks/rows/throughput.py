"""One encoder: F, D, the limit, ours through Celery and Redis, and every rival; interleaved, in rounds.

In the same rounds: what Celery and Redis take by themselves, and what writing to the index takes.
"""

import itertools
from collections.abc import Iterator
from contextlib import ExitStack

from tests.benchmarks.contender import Contender
from tests.benchmarks.empty_body import running_empty_body
from tests.benchmarks.result import Result
from tests.benchmarks.rows.rivals import tune_rivals
from tests.benchmarks.rows.tuning import Tuned, tune_decode, tune_forward
from tests.benchmarks.scene import Scene
from tests.benchmarks.stack import MESSAGE, Ours, running_ours

FAST = 0.75
"""Of the best rate when runtimes were tried: one that was slower will not be the fastest."""
OURS_S = 4
"""That ours lasts, at least: where it begins and ends, not every core has work."""
EMPTY = 128
"""Full messages that the worker with an empty body is given in a round."""
WRITTEN = 4 * MESSAGE
"""New products that are written to the index alone in a round."""


def run(scene: Scene, name: str) -> Result:
    """The row `throughput-NAME`, or `cuda-NAME`."""
    result = scene.result(f"{'throughput' if scene.device == 'cpu' else scene.device}-{name}")
    model = scene.model(name)
    result.facts["weights"] = "published" if model.real else "random, of a fixed seed, the same for all"
    with ExitStack() as stack:
        forwards = tune_forward(scene, model, result, stack)
        decode = stack.enter_context(scene.contender("decode", encoder=name))
        loops = {px: tune_decode(decode, px, result) for px in scene.sides}
        options = model.as_options(**result.facts["ours is told"], device=scene.device)
        store = scene.store.endpoint_url
        ours = stack.enter_context(running_ours(options, store, scene.data_dir()))
        note_runtime(result, ours)
        empty = stack.enter_context(running_empty_body(options, store, scene.data_dir()))
        index = stack.enter_context(scene.contender("growing", **options))
        rivals = tune_rivals(scene, options, result, stack)
        keys = {px: itertools.cycle(scene.pictures.keys[px]) for px in scene.sides}
        empty.run(empty.upserts(keys[scene.sides[0]], EMPTY * MESSAGE, "warm"))
        expected = {px: _warm_up(ours, keys[px], px) for px in scene.sides}
        index.ask(more=WRITTEN)
        for number in range(scene.rounds):
            scene.say(f"{name}: round {number + 1} of {scene.rounds}")
            _forwards(scene, result, forwards)
            _queue(result, empty, keys[scene.sides[0]])
            _index(result, index)
            for px in scene.sides:
                loop = loops[px]
                rate = decode.ask(**loop.request, seconds=scene.seconds)
                result.figure("D", loop.what, px=px).values.append(rate)
                _ours(result, ours, keys[px], px, max(OURS_S, 2 * scene.seconds) * expected[px])
                for rival in rivals[px]:
                    _rival(scene, result, rival, px)
        result.facts["worker's memory, MiB"] = round(ours.rss_mib())
    _fastest(result)
    return result


def _forwards(scene: Scene, result: Result, forwards: list[Tuned]) -> None:
    """Eager torch, ours, and every runtime that may be the fastest."""
    enough = FAST * max(tuned.rate for tuned in forwards)
    for tuned in forwards:
        if tuned.rate < enough and tuned.name not in {"eager", "ours"}:
            continue
        rate = tuned.contender.ask(**tuned.request, seconds=scene.seconds)
        result.figure(f"F {tuned.name}", tuned.what).values.append(rate)


def _fastest(result: Result) -> None:
    """F is the runtime with the best median over the rounds, ours or not."""
    known = [figure for figure in result.figures if figure.name.startswith("F ")]
    fastest = max(known, key=lambda figure: figure.median)
    result.figure("F", fastest.what).values += fastest.values


def _queue(result: Result, empty: Ours, keys: Iterator[str]) -> None:
    figure = result.figure("queue", f"{EMPTY} messages of {MESSAGE}, an empty body", unit="products/s")
    count = EMPTY * MESSAGE
    figure.values.append(count / empty.run(empty.upserts(keys, count, f"{len(figure.values)}")).seconds)


def _index(result: Result, index: Contender) -> None:
    found = index.ask(more=WRITTEN)
    figure = result.figure("write", f"{WRITTEN} new products, rows made up", unit="ms a product")
    figure.values.append(found["write_ms"])


def _ours(result: Result, ours: Ours, keys: Iterator[str], px: int, products: float) -> None:
    figure = result.figure("ours", "events in Redis to searchable", px=px)
    label = f"{px}-{len(figure.values)}"
    count = whole_messages(products)
    run = ours.run(ours.upserts(keys, count, label))
    found = ours.searchable(label)
    if found != count or run.embedded != count:
        raise RuntimeError(f"{count} products were published, {found} are searchable")
    figure.values.append(count / run.seconds)
    shares = result.facts.setdefault("stages, s of threads", {})
    took_s = run.stages_s | {"wall": run.seconds}
    shares[str(px)] = {stage: round(took, 2) for stage, took in took_s.items()}


def _rival(scene: Scene, result: Result, rival: Tuned, px: int) -> None:
    count = max(128, int(2 * rival.rate * scene.seconds))
    rate = rival.contender.ask(**rival.request, px=px, count=count)
    result.figure(rival.name, rival.what, px=px).values.append(rate)


def _warm_up(ours: Ours, keys: Iterator[str], px: int) -> float:
    """Roughly how many images/s to expect."""
    return MESSAGE / ours.run(ours.upserts(keys, MESSAGE, f"warm-{px}")).seconds


def whole_messages(products: float) -> int:
    """At least two full messages, 16 at most."""
    return MESSAGE * min(16, max(2, round(products / MESSAGE)))


def note_runtime(result: Result, ours: Ours) -> None:
    """Which runtime the worker took, in its own words."""
    for line in ours.said("encoder_loaded"):
        result.facts["encoder as loaded"] = {
            key: value for key, value in line.items() if key in {"encoder", "runtime", "precision", "device"}
        }
