"""The image stage on files and an encoder that waits: whose turn it is, and what is a sign of life."""

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from threading import Event
from typing import Any

import numpy as np
import pytest
from PIL import Image
from torch import Tensor

from config.settings import ImageSettings, S3Settings
from recommender.encoders.batcher import DynamicBatcher
from recommender.encoders.protocol import Embeddings
from recommender.encoders.registry import spec_of
from recommender.images.source import ImageSource
from worker.breaker import Breakers
from worker.embedding import Embedded, ImageEmbedder
from worker.plan import ImageKey

LIMIT_S = 20


class Gated:
    """Works only while its gate is open; says how bright the images were that it was given."""

    spec, device, fingerprint = spec_of("compact"), "cpu", "gated-000000000000"

    def __init__(self) -> None:
        self.gate = Event()
        self.seen: list[int] = []

    def encode_images(self, pixels: Tensor) -> Embeddings:
        self.seen += [int(value) for value in pixels[:, 0, 0, 0]]
        assert self.gate.wait(LIMIT_S)
        return np.eye(len(pixels), self.spec.dimension, dtype=np.float32)

    def encode_texts(self, texts: Sequence[str]) -> Embeddings:
        raise NotImplementedError


@pytest.fixture
def encoder() -> Gated:
    return Gated()


@pytest.fixture
def stage(tmp_path: Path, encoder: Gated) -> Iterator[ImageEmbedder]:
    """One thread that fetches and decodes, and batches of one image."""
    images = ImageSettings(local_root=tmp_path, threads=1)
    source, batcher = ImageSource(S3Settings(), images), DynamicBatcher(encoder, 1)
    embedder = ImageEmbedder(source, batcher, images, Breakers())
    yield embedder
    encoder.gate.set()
    embedder.close()
    batcher.close()
    source.close()


def image(folder: Path, brightness: int) -> ImageKey:
    path = folder / f"{brightness}.png"
    Image.new("L", (8, 8), brightness).save(path)
    return ImageKey(path.as_uri(), None)


def nothing() -> None:
    pass


def test_one_image_does_not_wait_for_all_of_another_message(
    stage: ImageEmbedder, encoder: Gated, tmp_path: Path
) -> None:
    many = [stage.embed(image(tmp_path, n), "many", nothing) for n in range(40)]
    one = stage.embed(image(tmp_path, 200), "one", nothing)
    encoder.gate.set()
    for looked in (*many, one):
        assert isinstance(looked.result(LIMIT_S).outcome, Embedded)
    assert encoder.seen.index(200) < 20  # those that were with the encoder, and in its queue, before it came


def test_it_is_a_sign_of_life_when_an_image_is_read_and_when_it_is_embedded(
    stage: ImageEmbedder, encoder: Gated, tmp_path: Path, wait_for: Any
) -> None:
    signs: list[bool] = []
    looked = stage.embed(image(tmp_path, 1), "a", lambda: signs.append(encoder.gate.is_set()))
    wait_for("the encoder has it", lambda: encoder.seen == [1])
    assert signs == [False]
    encoder.gate.set()
    looked.result(LIMIT_S)
    wait_for("a second sign", lambda: signs == [False, True])


def test_what_is_given_up_before_its_turn_is_not_read(
    stage: ImageEmbedder, encoder: Gated, tmp_path: Path
) -> None:
    many = [stage.embed(image(tmp_path, n), "many", nothing) for n in range(40)]
    assert many[-1].cancel()
    after = stage.embed(image(tmp_path, 200), "many", nothing)
    encoder.gate.set()
    after.result(LIMIT_S)
    assert 39 not in encoder.seen


def test_when_it_is_closed_what_waits_is_cancelled(
    stage: ImageEmbedder, encoder: Gated, tmp_path: Path, wait_for: Any
) -> None:
    many = [stage.embed(image(tmp_path, n), "many", nothing) for n in range(40)]
    wait_for("two are with the encoder", lambda: len(encoder.seen) == 2)
    with ThreadPoolExecutor(1) as thread:
        closing = thread.submit(stage.close)
        wait_for("the last is cancelled", many[-1].cancelled)
        encoder.gate.set()
        closing.result(LIMIT_S)
    assert isinstance(many[0].result(LIMIT_S).outcome, Embedded)
