import os
from pathlib import Path

import pytest

from config.settings import ImageSettings, S3Settings
from recommender.errors import ImageNotAllowed, ImageNotFound, ImageTooLarge
from recommender.images.source import ImageSource


@pytest.fixture
def root(tmp_path: Path) -> Path:
    folder = tmp_path / "pictures"
    folder.mkdir()
    return folder


@pytest.fixture
def source(root: Path) -> ImageSource:
    return ImageSource(S3Settings(), ImageSettings(local_root=root, max_bytes=1024))


def test_a_file_below_the_root(source: ImageSource, root: Path) -> None:
    path = root / "deep" / "grün #1.jpg"
    path.parent.mkdir()
    path.write_bytes(b"pixels")
    fetched = source.fetch(path.as_uri())
    assert fetched is not None
    assert fetched.data == b"pixels"
    assert source.fetch(f"file://localhost{path.as_uri().removeprefix('file://')}") == fetched


def test_the_etag_changes_with_the_file(source: ImageSource, root: Path) -> None:
    path = root / "a.jpg"
    path.write_bytes(b"one")
    first = source.fetch(path.as_uri())
    assert first is not None
    assert source.fetch(path.as_uri(), etag=first.etag) is None
    path.write_bytes(b"two")
    os.utime(path, ns=(0, 1))
    second = source.fetch(path.as_uri(), etag=first.etag)
    assert second is not None
    assert second.data == b"two"


@pytest.mark.parametrize(
    "escape", ["../secret", "%2e%2e/secret", "inside/../../secret", "link", "folder/secret"]
)
def test_nothing_outside_the_root(source: ImageSource, root: Path, escape: str) -> None:
    (root.parent / "secret").write_text("secret")
    (root / "link").symlink_to(root.parent / "secret")
    (root / "folder").symlink_to(root.parent)
    with pytest.raises(ImageNotAllowed, match="LOOKALIKE_IMAGES__LOCAL_ROOT"):
        source.fetch(f"file://{root}/{escape}")


def test_a_sibling_that_begins_like_the_root(source: ImageSource, root: Path) -> None:
    sibling = root.with_name("pictures-of-others")
    sibling.mkdir()
    (sibling / "a.jpg").write_bytes(b"x")
    with pytest.raises(ImageNotAllowed):
        source.fetch((sibling / "a.jpg").as_uri())


def test_a_file_of_another_host(source: ImageSource, root: Path) -> None:
    (root / "a.jpg").write_bytes(b"x")
    with pytest.raises(ImageNotAllowed):
        source.fetch(f"file://elsewhere{root}/a.jpg")


def test_without_a_root_there_are_no_local_files(root: Path) -> None:
    (root / "a.jpg").write_bytes(b"x")
    source = ImageSource(S3Settings(), ImageSettings())
    with pytest.raises(ImageNotAllowed, match="set LOOKALIKE_IMAGES__LOCAL_ROOT"):
        source.fetch((root / "a.jpg").as_uri())


@pytest.mark.parametrize("name", ["missing.jpg", "", "a.jpg/below", "nul%00.jpg", "pipe"])
def test_what_is_no_file(source: ImageSource, root: Path, name: str) -> None:
    (root / "a.jpg").write_bytes(b"x")
    os.mkfifo(root / "pipe")
    with pytest.raises(ImageNotFound):
        source.fetch(f"file://{root}/{name}")


def test_the_byte_limit(source: ImageSource, root: Path) -> None:
    (root / "a.jpg").write_bytes(b"x" * 1024)
    assert source.fetch((root / "a.jpg").as_uri())
    (root / "a.jpg").write_bytes(b"x" * 1025)
    with pytest.raises(ImageTooLarge, match="1025 bytes"):
        source.fetch((root / "a.jpg").as_uri())
