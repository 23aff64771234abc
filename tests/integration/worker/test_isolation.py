"""Images in a process of their own: real processes that end and hang, S3 over HTTP, a real encoder."""

import json
import subprocess
import sys
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import redis
import torch

from config.settings import EncoderSettings
from recommender.encoders.load import load_encoder
from recommender.encoders.preprocess import to_input
from recommender.errors import ImageLethal, ImageNotFound, ProcessLost
from tests.whole_image import decode
from worker.breaker import Breakers
from worker.deliveries import KEY, UNACKED, Deliveries, is_lent
from worker.embedding import Embedded, NotModified
from worker.isolation import ImageProcess, Quarantined, _for_one_image
from worker.plan import ImageKey

WITHIN_S = 150


@pytest.fixture
def read(environment: dict[str, str]) -> Callable[..., list[Any]]:
    """What became of images that were read one after the other in an isolated process."""

    def run(*images: str) -> list[Any]:
        command = [sys.executable, "-m", "tests.integration.worker.faulty_reader", *images]
        done = subprocess.run(  # noqa: S603
            command, env=environment, capture_output=True, text=True, timeout=WITHIN_S, check=False
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stdout.splitlines()]

    return run


def test_an_image_that_ends_or_wedges_its_process_costs_only_itself(
    read: Callable[..., list[Any]],
    s3: Any,
    photo: Callable[[int], bytes],
    make_settings: Any,
    weights: Path,
) -> None:
    good = s3.put("good.jpg", photo(1))
    lethal = {kind: s3.put(f"{kind}.jpg", photo(2) + kind.encode()) for kind in ("EXIT", "SEGFAULT", "HANG")}
    missing = f"s3://{s3.bucket}/missing.jpg"
    answers = read(good, missing, lethal["EXIT"], good, lethal["SEGFAULT"], lethal["HANG"], good)
    assert [answer[0] for answer in answers] == [
        "embedded", "ImageNotFound", "lost", "embedded", "lost", "lost", "embedded",
    ]  # fmt: skip
    first, second, _, after, segfault, hang, last = answers
    assert first[-1] == second[-1] != after[-1]  # one process until it is lost
    assert missing in second[1]
    assert "code 9" in answers[2][1]
    assert "code -11" in segfault[1]
    assert "hung" in hang[1]

    encoder = load_encoder(make_settings(encoder={"weights": str(weights)}).encoder)
    pixels = to_input(decode(photo(1), name="good", max_pixels=10**7), encoder.spec.preprocessing)
    for answer in (first, after, last):
        np.testing.assert_allclose(answer[1], encoder.encode_images(pixels[None])[0], atol=1e-3)
    (unchanged,) = read(f"{good},{first[2]}")
    assert unchanged[0] == "NotModified"


def test_an_image_is_embedded_by_the_encoder_of_its_pair(
    make_settings: Any, weights: Path, s3: Any, photo: Callable[[int], bytes]
) -> None:
    settings = make_settings(s3={"endpoint_url": s3.endpoint_url, "buckets": (s3.bucket,)})
    key = ImageKey(s3.put("a.jpg", photo(1)), None)
    with closing(ImageProcess(settings)) as process:
        for name in ("compact", "compact-128", "compact"):
            by = EncoderSettings(name=name, weights=str(weights), device="cpu", runtime="torch")
            found = process.read(key, by, lambda: None)
            assert isinstance(found, Embedded)
            encoder = load_encoder(by)
            pixels = to_input(decode(photo(1), name="a", max_pixels=10**7), encoder.spec.preprocessing)
            np.testing.assert_allclose(found.row, encoder.encode_images(pixels[None])[0], atol=1e-3)


@pytest.mark.parametrize(("device", "expected"), [("cpu", (32, "auto")), ("auto", (1, "torch"))])
def test_on_a_gpu_its_encoder_takes_no_memory_for_batches(
    device: str, expected: tuple[int, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    settings = _for_one_image(EncoderSettings(device=device, max_batch_size=32))
    assert (settings.max_batch_size, settings.runtime) == expected


class Process:
    """Answers as told; stands in for the process, whose death the test above has seen."""

    def __init__(self, client: Any, answers: dict[str, Any]) -> None:
        self.client, self.answers = client, answers
        self.counts: list[str | None] = []

    def read(self, key: ImageKey, _by: EncoderSettings, progress: Callable[[], None]) -> Any:
        progress()
        self.counts.append(self.client.hget(KEY, "tag"))
        assert is_lent("tag")
        answer = self.answers[key.uri]
        if isinstance(answer, ProcessLost):
            raise answer
        return answer


@pytest.mark.parametrize("last", [False, True])
def test_while_its_process_has_an_image_the_end_of_the_worker_is_no_fault_of_the_message(
    redis_server: Any, last: bool
) -> None:
    with redis.Redis.from_url(redis_server.url, decode_responses=True) as client:
        deliveries = Deliveries(client, "")
        assert deliveries.begin("tag") == 0  # nobody has it in hand
        client.hset(UNACKED, "tag", "...")
        assert [deliveries.begin("tag") for _ in range(2)] == [1, 2]
        signs: list[None] = []
        lost = ProcessLost("b: ended")
        process = Process(client, {"a": NotModified(), "b": lost, "c": ImageNotFound("c", "404")})
        stage = Quarantined(
            process,  # type: ignore[arg-type]
            EncoderSettings(),
            deliveries,
            Breakers(),
            "tag",
            last=last,
        )
        looked = [stage.embed(ImageKey(uri, None), None, lambda: signs.append(None)) for uri in "abc"]
        assert process.counts == ["1", "1", "1"]
        assert client.hget(KEY, "tag") == "2"
        assert not is_lent("tag")
        assert len(signs) == 3
        assert [type(future.result(0).outcome) for future in looked] == [
            NotModified,
            ImageLethal if last else ProcessLost,
            ImageNotFound,
        ]
