"""The object store of the benchmark, asked by our own source of images."""

import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from config.settings import ImageSettings, S3Settings
from recommender.errors import ImageNotFound
from recommender.images.source import ImageSource


@pytest.fixture
def source(tmp_path: Path, free_port: int) -> Iterator[ImageSource]:
    (tmp_path / "root" / "bucket").mkdir(parents=True)
    (tmp_path / "root" / "bucket" / "a b.jpg").write_bytes(b"x" * 100_000)
    (tmp_path / "secret.jpg").write_bytes(b"no")
    log = str(tmp_path / "log")
    command = [sys.executable, "-m", "tests.benchmarks.stand_in", str(tmp_path / "root"), str(free_port), log]
    process = subprocess.Popen(command, cwd=Path(__file__).parents[3])  # noqa: S603
    endpoint = f"http://127.0.0.1:{free_port}"
    for _ in range(100):
        try:
            httpx.get(endpoint)
            break
        except httpx.TransportError:
            time.sleep(0.05)
    source = ImageSource(S3Settings(endpoint_url=endpoint, buckets=("bucket",)), ImageSettings())
    yield source
    source.close()
    process.kill()
    process.wait()


def test_an_object_is_fetched_once(source: ImageSource) -> None:
    found = source.fetch("s3://bucket/a b.jpg")
    assert found is not None
    assert found.data == b"x" * 100_000
    assert source.fetch("s3://bucket/a b.jpg", etag=found.etag) is None


@pytest.mark.parametrize("key", ["gone.jpg", "../../secret.jpg"])
def test_what_is_not_there_is_not_found(source: ImageSource, key: str) -> None:
    with pytest.raises(ImageNotFound):
        source.fetch(f"s3://bucket/{key}")


def test_a_bucket_is_listed_as_its_objects_are_fetched(source: ImageSource, tmp_path: Path) -> None:
    bucket = tmp_path / "root" / "bucket"
    for number in range(1001):
        (bucket / f"b{number:04}").write_bytes(b"")
    first = source.list_objects("bucket", "b", "")
    assert (len(first.objects), first.more) == (1000, True)
    last = source.list_objects("bucket", "b", first.objects[-1][0])
    assert ([key for key, _ in last.objects], last.more) == (["b1000"], False)
    ((key, etag),) = source.list_objects("bucket", "a", "").objects
    assert key == "a b.jpg"
    assert source.fetch("s3://bucket/a b.jpg", etag=etag) is None
