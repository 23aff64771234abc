from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from config.settings import Settings
from worker.feeds.open import open_feed
from worker.feeds.record import Place, Record

START = Place()
Read = Callable[..., list[Record]]


def same(some: list[Record], others: list[Record]) -> bool:
    """Whether these are the same records; errors compare by what they say."""
    said = [[(replace(one, error=None), str(one.error)) for one in records] for records in (some, others)]
    return said[0] == said[1]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """Where feeds may lie."""
    made = tmp_path / "feeds"
    made.mkdir()
    return made


@pytest.fixture
def settings_of(make_settings: Any, folder: Path) -> Callable[..., Settings]:
    def make(**feed: Any) -> Settings:
        allowed = {"allowed": (f"file://{folder}/", f"file://host{folder}/", "ftp://x/")}
        made: Settings = make_settings(feed={**allowed, **feed}, images={"local_root": folder})
        return made

    return make


@pytest.fixture
def read(settings_of: Callable[..., Settings], folder: Path) -> Read:
    """Read a file below the folder, or a URI, from a place."""

    def records(uri: str, place: Place = START, **feed: Any) -> list[Record]:
        whole = uri if "://" in uri else f"file://{folder}/{uri}"
        with open_feed(whole, settings_of(**feed), None, place) as found:  # type: ignore[arg-type]  # for s3://
            return list(found)

    return records
