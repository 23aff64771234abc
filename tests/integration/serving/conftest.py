"""A drawn shop whose products are in two collections, each of an encoder of its own, on both engines."""

import os
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
import redis

from config.settings import EncoderSettings, Settings
from recommender import following
from recommender.encoders.protocol import Encoder, Preprocessing
from recommender.encoders.recipe import Recipe
from recommender.errors import WeightsUnavailable
from recommender.index.open import open_engine
from recommender.resources import Resources, open_resources
from recommender.swap_state import SwapBook, SwapState
from tests.conftest import ObjectStore
from tests.integration.index.qdrant_servicer import qdrant_server
from tests.pixels import PixelEncoder
from tests.shop import Shop, fill

WITHIN_S = 60
REAL_SERVER = os.environ.get("LOOKALIKE_TEST_QDRANT_URL")


class CoarseEncoder(PixelEncoder):
    """Sees less: rows of the one can't be compared with those of the other."""

    spec = replace(
        PixelEncoder.spec,
        name="coarse",
        dimension=48,
        preprocessing=Preprocessing(4, 4, "squash", "bilinear", (0.5,) * 3, (0.5,) * 3),
    )
    fingerprint = "coarse-111111111111"


OLD, NEW = PixelEncoder.fingerprint, CoarseEncoder.fingerprint
ENCODERS: dict[str, type[PixelEncoder]] = {"pixels": PixelEncoder, "coarse": CoarseEncoder}


def load(settings: EncoderSettings) -> Encoder:
    """By name; every other name has broken weights."""
    if settings.name not in ENCODERS:
        raise WeightsUnavailable(f"the weights of {settings.name} can't be read")
    return ENCODERS[settings.name]()


def wait_until(what: str, check: Callable[[], Any]) -> Any:
    """Poll until `check` answers something true; the limit is for hangs, not a promise."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        if found := check():
            return found
        time.sleep(0.01)
    raise AssertionError(f"not within {WITHIN_S} s: {what}")


@dataclass
class Processes:
    """Opens what a process owns, as often as a test has processes; all are of one catalog."""

    settings: Settings
    store: ObjectStore
    stack: ExitStack = field(default_factory=ExitStack)

    def open(self, *, following: Any = "api", **values: Any) -> Resources:
        settings = self.settings.model_copy(update=values)
        return self.stack.enter_context(open_resources(settings, load=load, following=following))

    def shop(self, resources: Resources) -> Shop:
        return Shop(self.settings, resources, self.store)

    def fill_other(self, resources: Resources, name: str) -> str:
        """Create the collection of another encoder and fill it with the same products; returns its name."""
        encoder = ENCODERS[name]()
        resources.engine.create(encoder.fingerprint, encoder.spec.dimension, Recipe(name))
        pair = resources.opener.open(encoder.fingerprint)
        fill(self.shop(replace(resources, serving=_Only(pair))))  # type: ignore[arg-type]
        pair.close()
        return encoder.fingerprint


@dataclass
class _Only:
    current: Any


@pytest.fixture
def client(redis_server: Any) -> Iterator[Any]:
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as opened:
        yield opened


@pytest.fixture(params=["embedded", "server", *(["real-server"] if REAL_SERVER else [])])
def processes(
    request: pytest.FixtureRequest,
    tmp_path: Path,
    make_settings: Any,
    redis_server: Any,
    s3: ObjectStore,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Processes]:
    monkeypatch.setattr(following, "LOOK_S", 0.02)
    with ExitStack() as cleanup:
        if request.param == "embedded":
            index = {"url": f"edge:{tmp_path / 'index'}"}
        elif request.param == "server":
            port, _ = cleanup.enter_context(qdrant_server(tmp_path))
            index = {"url": "http://127.0.0.1:6333", "grpc_port": port}
        else:
            index = {"url": REAL_SERVER}
        settings = make_settings(
            catalog=f"shop-{uuid4().hex[:8]}",
            index={**index, "attributes": ("colour", "sizes"), "recall_sample": 0},
            redis={"url": redis_server.url},
            encoder={"name": "pixels"},
            s3={"endpoint_url": s3.endpoint_url, "buckets": (s3.bucket,)},
        )
        opened = Processes(settings, s3)
        if request.param == "real-server":
            cleanup.callback(_drop_all, settings)
        with opened.stack:
            yield opened


def _drop_all(settings: Settings) -> None:
    engine = open_engine(settings)
    for fingerprint in engine.fingerprints():
        engine._client.delete_collection(engine._schema.collection(fingerprint))  # type: ignore[attr-defined]
    engine.close()


@pytest.fixture
def book(client: Any, processes: Processes) -> SwapBook:
    """As the coordinator of a swap has it."""
    return SwapBook(client, processes.settings.catalog)


def swap_to(name: str, fingerprint: str = NEW, **values: Any) -> SwapState:
    return SwapState(**{"id": uuid4().hex, "old": OLD, "new": fingerprint, "recipe": Recipe(name)} | values)
