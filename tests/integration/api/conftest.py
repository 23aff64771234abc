"""One shop behind one listening API for the tests that only ask, and shops of their own for the rest."""

from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.shop import Shop, filled_shop, served


@pytest.fixture(scope="module")
def catalog(s3_endpoint: str, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    with filled_shop(s3_endpoint, tmp_path_factory.mktemp("shop")) as shop:
        yield shop


@pytest.fixture(scope="module")
def api(catalog: Shop) -> Iterator[httpx.Client]:
    with served(catalog) as client:
        yield client


@pytest.fixture
def own_shop(s3_endpoint: str, tmp_path: Path) -> Iterator[Shop]:
    with filled_shop(s3_endpoint, tmp_path) as shop:
        yield shop
