"""What an audit's repairs do in the pipeline, on the real index: tombstones are forgotten, rows made anew."""

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest

from recommender.events import parse_product_event
from recommender.index.protocol import ProductIndex, Write
from recommender.resources import open_resources
from tests.pixels import PixelEncoder
from worker.pipeline import Pipeline
from worker.plan import Embed, Purge


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


def test_rows_of_another_encoder_are_made_anew_and_never_kept(
    make_settings: Any, s3: Any, photo: Callable[[int], bytes], document: Callable[..., dict[str, Any]]
) -> None:
    settings = make_settings(s3={"endpoint_url": s3.endpoint_url, "buckets": (s3.bucket,)})
    uris = {name: s3.put(f"{name}.jpg", photo(seed)) for seed, name in enumerate(("there", "gone"))}
    with (
        open_resources(settings, load=lambda _: PixelEncoder()) as resources,
        opened(resources, resources.index, make_settings) as pipeline,
    ):
        index = resources.index
        own, index.fingerprint = index.fingerprint, "other-000000000000"
        pipeline.apply(
            [parse_product_event("products.upsert", document(name, uri)) for name, uri in uris.items()]
        )
        index.fingerprint = own
        s3.client.delete_object(Bucket=s3.bucket, Key="gone.jpg")
        report = pipeline.apply([Embed(id=name, only_changed=True) for name in uris])
        assert report.embedded == 1
        found = {entry.id: entry for entry in index.census().entries}
        assert {name: entry.status for name, entry in found.items()} == {
            "there": "searchable",
            "gone": "imageless",
        }
        assert {entry.encoder for entry in found.values()} == {own}
