"""`products.purge` through the pipeline, on the real index: a tombstone is forgotten, and nothing else."""

from collections.abc import Iterator, Sequence
from typing import Any

import pytest

from recommender.events import parse_product_event
from recommender.index.protocol import ProductIndex, Write
from recommender.resources import open_resources
from tests.pixels import PixelEncoder
from worker.pipeline import Pipeline
from worker.plan import Purge


@pytest.fixture
def resources(make_settings: Any) -> Iterator[Any]:
    with open_resources(make_settings(), load=lambda _: PixelEncoder()) as opened:
        yield opened


def opened(resources: Any, index: Any, make_settings: Any) -> Pipeline:
    return Pipeline(index, resources.batcher, resources.source, make_settings())


def delete(product: str, version: int) -> Any:
    return parse_product_event("products.delete", {"id": product, "version": version})


def patch(product: str, version: int) -> Any:
    return parse_product_event("products.patch", {"id": product, "version": version, "price": 5})


def test_only_the_tombstone_of_that_version_is_forgotten(resources: Any, make_settings: Any) -> None:
    with opened(resources, resources.index, make_settings) as pipeline:
        pipeline.apply([delete("a", 5), delete("b", 5), delete("c", 5), patch("stub", 5)])
        pipeline.apply([delete("b", 6), patch("c", 7)])
        purges = [Purge(id=name, version=5) for name in ("a", "b", "c", "stub", "unknown")]
        report = pipeline.apply(purges)
        assert [event.id for event in report.applied] == ["a"]
        assert [event.id for event in report.stale] == ["b", "c", "stub", "unknown"]
        assert set(resources.index.read(["a", "b", "c", "stub"])) == {"b", "c", "stub"}
        again = pipeline.apply(purges)  # a message may come twice
        assert not again.applied


class Overtaken:
    """An index that somebody else writes to between a read and the write that follows it."""

    def __init__(self, index: ProductIndex, meanwhile: Any) -> None:
        self._index = index
        self._meanwhile = meanwhile

    def __getattr__(self, name: str) -> Any:
        return getattr(self._index, name)

    def write(self, writes: Sequence[Write]) -> set[str]:
        meanwhile, self._meanwhile = self._meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return self._index.write(writes)


def test_an_event_that_overtakes_a_purge_is_kept(resources: Any, make_settings: Any) -> None:
    with opened(resources, resources.index, make_settings) as other:
        other.apply([delete("a", 5)])
        overtaken = Overtaken(resources.index, lambda: other.apply([delete("a", 8)]))
        with opened(resources, overtaken, make_settings) as pipeline:
            report = pipeline.apply([Purge(id="a", version=5)])
        assert [event.id for event in report.stale] == ["a"]
        assert resources.index.read(["a"])["a"].state.version == 8
