"""The engines that the contract suite runs against.

`embedded` is Qdrant Edge. `server` is our server engine over real gRPC, answered by the test servicer
(qdrant_servicer.py), which no Qdrant server is part of. A real server is asked only where
LOOKALIKE_TEST_QDRANT_URL names one (and LOOKALIKE_TEST_QDRANT_GRPC_PORT its port, 6334 if unset);
nowhere else is any run.
"""

import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from uuid import uuid4

import pytest
from qdrant_client import QdrantClient

from recommender.index.open import open_engine
from recommender.index.protocol import IndexEngine, ProductIndex
from tests.conftest import MakeSettings
from tests.integration.index.builders import DIMENSION
from tests.integration.index.qdrant_servicer import qdrant_server

REAL_SERVER = os.environ.get("LOOKALIKE_TEST_QDRANT_URL")
ATTRIBUTES = ("colour", "sizes", "vegan", "heel-mm")
FINGERPRINT = "compact-0123456789ab"

OpenShop = Callable[..., IndexEngine]


@pytest.fixture
def folder(tmp_path: Path) -> Iterator[Path]:
    """Where shards lie: in memory where there is room, since creating one waits for the disk a lot."""
    memory = Path("/dev/shm")  # noqa: S108  # a folder of random name below it
    if not memory.is_dir() or shutil.disk_usage(memory).free < 2 * 2**30:
        yield tmp_path
        return
    with tempfile.TemporaryDirectory(dir=memory) as name:
        yield Path(name)


@pytest.fixture(params=["embedded", "server", *(["real-server"] if REAL_SERVER else [])])
def open_shop(
    request: pytest.FixtureRequest, folder: Path, make_settings: MakeSettings
) -> Iterator[OpenShop]:
    """Open an engine of a catalog; every catalog of a test lies in the same place."""
    suffix = uuid4().hex[:12]
    with ExitStack() as cleanup:
        if request.param == "embedded":
            index = {"url": f"edge:{folder}"}
        elif request.param == "server":
            port, _ = cleanup.enter_context(qdrant_server(folder))
            index = {"url": "http://127.0.0.1:6333", "grpc_port": port}
        else:
            grpc_port = int(os.environ.get("LOOKALIKE_TEST_QDRANT_GRPC_PORT", "6334"))
            index = {"url": REAL_SERVER, "grpc_port": grpc_port}
            cleanup.callback(_remove_collections, suffix)

        def open_(
            catalog: str = "shop", attributes: tuple[str, ...] = ATTRIBUTES, **others: object
        ) -> IndexEngine:
            asked = {**index, "attributes": attributes, **others}
            settings = make_settings(catalog=f"{catalog}-{suffix}", index=asked)
            engine = open_engine(settings)
            cleanup.callback(engine.close)
            return engine

        yield open_


@pytest.fixture
def engine(open_shop: OpenShop) -> IndexEngine:
    return open_shop()


@pytest.fixture
def index(engine: IndexEngine) -> ProductIndex:
    """An empty collection."""
    engine.create(FINGERPRINT, DIMENSION)
    return engine.open(FINGERPRINT)


def _remove_collections(suffix: str) -> None:
    client = QdrantClient(url=REAL_SERVER)
    for collection in client.get_collections().collections:
        if suffix in collection.name:
            client.delete_collection(collection.name)
    client.close()
