from collections.abc import Callable, Iterator

import pytest

from config.settings import Settings
from recommender.images.source import ImageSource
from tests.integration.images.conftest import http_server, https_server

__all__ = ["http_server", "https_server"]


@pytest.fixture
def open_source() -> Iterator[Callable[[Settings], ImageSource]]:
    opened: list[ImageSource] = []

    def make(settings: Settings) -> ImageSource:
        opened.append(ImageSource(settings.s3, settings.images))
        return opened[-1]

    yield make
    for source in opened:
        source.close()
