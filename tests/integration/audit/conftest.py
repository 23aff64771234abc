from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.conftest import ObjectStore
from tests.integration.audit.scene import Scene, owned
from tests.shop import opened_shop


@pytest.fixture
def scene(s3: ObjectStore, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Scene]:
    """A shop whose index, feed and bucket agree, as the owner of the index serves it."""
    with opened_shop(s3, tmp_path / "data") as shop, owned(shop, monkeypatch.setenv):
        yield Scene(shop, monkeypatch)
