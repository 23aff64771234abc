import numpy as np
import pytest

from recommender.looks import Gathering, Looks
from worker.planning.losses import measure


def clustered(products: int, dimension: int = 64) -> Looks:
    draw = np.random.default_rng(3)
    centres = draw.normal(size=(products // 20, dimension))
    gathering = Gathering(dimension)
    for product in range(products):
        near = centres[product % len(centres)] + 0.6 * draw.normal(size=(1 + product % 2, dimension))
        gathering.add((near / np.linalg.norm(near, axis=1, keepdims=True)).astype(np.float32))
    return gathering.finish()


def test_every_storage_is_measured_and_codes_alone_miss_more() -> None:
    said: list[str] = []
    losses = {(loss.storage, loss.rescored): loss for loss in measure(clustered(600), said.append)}
    assert len(said) == 4
    assert losses["float32", None].recall == 1.0
    assert losses["float32", None].score_off < 1e-5
    assert losses["float16", None].recall >= 0.98
    for storage in ("int8", "turboquant"):
        codes, rescored = losses[storage, False], losses[storage, True]
        assert codes.recall < rescored.recall
        assert codes.score_off > 1e-3 > rescored.score_off
        assert 0 < codes.interval < 0.1
    assert losses["turboquant", False].recall < losses["int8", False].recall


def test_a_sample_of_a_few_says_nothing() -> None:
    with pytest.raises(ValueError, match="99 products are too few"):
        measure(clustered(99), print)
