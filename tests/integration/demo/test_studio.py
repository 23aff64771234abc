import pytest

from config.settings import ConfigurationError, ImageSettings, S3Settings
from recommender.images.source import ImageSource
from tests.whole_image import decode
from worker.demo.catalog import make_catalog
from worker.demo.object_store import BUCKET, running_object_store
from worker.demo.studio import shoot


def test_every_view_is_in_the_store_and_reads_back_as_a_picture_of_its_size() -> None:
    catalog = make_catalog(12, seed=5)
    done: list[int] = []
    with running_object_store() as store:
        histograms = shoot(catalog, store, done.append)
        source = ImageSource(S3Settings(endpoint_url=store.endpoint_url, buckets=(BUCKET,)), ImageSettings())
        for view in (view for product in catalog for view in product.views):
            uri = f"s3://{BUCKET}/{view.key}"
            fetched = source.fetch(uri)
            assert fetched is not None
            pixels = decode(fetched.data, name=uri, max_pixels=10**7)
            assert pixels.shape == (3, view.height_px, view.width_px)
        source.close()
    assert sum(done) == len(catalog)
    assert list(histograms) == [product.id for product in catalog]


def test_without_moto_the_way_out_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(__import__("sys").modules, "moto.server", None)
    with pytest.raises(ConfigurationError, match=r"pip install 'lookalike\[demo\]'"), running_object_store():
        pass
