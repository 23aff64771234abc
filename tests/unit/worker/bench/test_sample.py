import json
from pathlib import Path
from typing import Any

import pytest

from config.settings import ConfigurationError
from recommender.errors import FeedError
from worker.bench.sample import MAX_IMAGES, in_feed, in_folder


def feed(folder: Path, *documents: Any) -> Path:
    path = folder / "feed.jsonl"
    path.write_text("".join(json.dumps(document) + "\n" for document in documents))
    return path


def test_a_folder_gives_its_images_and_those_below(tmp_path: Path) -> None:
    (tmp_path / "shoes").mkdir()
    for name in ("b.JPG", "shoes/a b.webp", "notes.txt"):
        (tmp_path / name).touch()
    assert in_folder(tmp_path) == [
        (tmp_path / "b.JPG").as_uri(),
        (tmp_path / "shoes" / "a b.webp").as_uri(),
    ]


def test_no_more_are_taken_than_are_measured(tmp_path: Path) -> None:
    for number in range(MAX_IMAGES + 1):
        (tmp_path / f"{number}.jpg").touch()
    assert len(in_folder(tmp_path)) == MAX_IMAGES


def test_a_folder_without_images_is_named(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=f"{tmp_path}: no images"):
        in_folder(tmp_path)


def test_a_feed_gives_the_images_of_its_products(tmp_path: Path) -> None:
    path = feed(tmp_path, {"images": ["s3://b/1.jpg", {"uri": "s3://b/2.jpg"}]}, {"images": ["s3://b/3.jpg"]})
    assert in_feed(path) == ["s3://b/1.jpg", "s3://b/2.jpg", "s3://b/3.jpg"]


@pytest.mark.parametrize("document", [{"id": "1"}, [1], {"images": [3]}])
def test_a_line_that_names_no_images_is_named(tmp_path: Path, document: Any) -> None:
    with pytest.raises(FeedError, match="line 2"):
        in_feed(feed(tmp_path, {"images": ["s3://b/1.jpg"]}, document))


def test_a_feed_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(FeedError, match=r"none\.jsonl: No such file"):
        in_feed(tmp_path / "none.jsonl")
