"""Loading by the settings, and fetching weights over real HTTP on loopback."""

import hashlib
import logging
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import numpy as np
import pytest
import torch
from huggingface_hub import constants
from safetensors.torch import load_file, save_file

from config.settings import ConfigurationError, EncoderSettings
from recommender.encoders.load import load_encoder
from recommender.encoders.registry import spec_of
from recommender.encoders.sources import fetch
from recommender.errors import TextNotSupported, UnknownEncoder, WeightsUnavailable

WAYS_OUT = (
    r"(?s)'resnet50'.*Three ways out.*HF_HOME.*LOOKALIKE_ENCODER__WEIGHTS.*LOOKALIKE_ENCODER__NAME=compact"
)
BODY = b"weights"


class Files(BaseHTTPRequestHandler):
    """A server of one file in every folder, `model.safetensors`, with the headers of the hub."""

    requests: list[str]

    def do_HEAD(self) -> None:
        type(self).requests.append(f"{self.command} {self.path}")
        found = self.path.endswith(("model.safetensors", ".pth"))
        overloaded = self.path.endswith("overloaded.bin")
        self.send_response(200 if found else 503 if overloaded else 404)
        if not found and not overloaded:
            self.send_header("X-Error-Code", "EntryNotFound")
        self.send_header("Content-Length", str(len(BODY) if found else 0))
        self.send_header("ETag", f'"{hashlib.sha256(BODY).hexdigest()}"')
        self.send_header("X-Repo-Commit", "0" * 40)
        self.end_headers()

    def do_GET(self) -> None:
        self.do_HEAD()
        self.wfile.write(BODY)

    def log_message(self, *_: object) -> None:
        pass


@pytest.fixture
def server() -> Iterator[str]:
    Files.requests = []
    with ThreadingHTTPServer(("127.0.0.1", 0), Files) as files:
        thread = threading.Thread(target=files.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{files.server_port}"
        files.shutdown()
        thread.join()


def test_a_local_file_is_loaded_and_warmed_up(
    compact_weights: Path, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO):
        encoder = load_encoder(EncoderSettings(weights=str(compact_weights), device="cpu", runtime="torch"))
    assert [record.message for record in caplog.records] == ["encoder_loaded"]
    assert encoder.device == "cpu"
    pixels = torch.randint(0, 256, (3, 3, 160, 160), dtype=torch.uint8)
    rows = encoder.encode_images(pixels)
    assert rows.shape == (3, encoder.spec.dimension)
    assert rows.dtype == np.float32
    np.testing.assert_allclose(encoder.encode_images(pixels[1:2])[0], rows[1], atol=1e-5)


def test_an_encoder_without_text_tower_says_so(compact_weights: Path) -> None:
    encoder = load_encoder(EncoderSettings(weights=str(compact_weights), device="cpu", runtime="torch"))
    with pytest.raises(TextNotSupported, match="'compact' has no text tower"):
        encoder.encode_texts(["boots"])


def test_the_number_of_threads_is_set(compact_weights: Path) -> None:
    before = torch.get_num_threads()
    try:
        load_encoder(EncoderSettings(weights=str(compact_weights), device="cpu", runtime="torch", threads=1))
        assert torch.get_num_threads() == 1
    finally:
        torch.set_num_threads(before)


def test_weights_that_answer_no_numbers_are_refused(compact_weights: Path, tmp_path: Path) -> None:
    state = load_file(compact_weights)
    state["stages.7.second.0.weight"][0] = torch.nan
    save_file(state, tmp_path / "diverged.safetensors")
    with pytest.raises(WeightsUnavailable, match="'compact' are broken"):
        load_encoder(
            EncoderSettings(weights=str(tmp_path / "diverged.safetensors"), device="cpu", runtime="torch")
        )


def test_unknown_names_are_refused() -> None:
    with pytest.raises(UnknownEncoder):
        load_encoder(EncoderSettings(name="resnet51"))


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_cuda_without_a_gpu_is_refused(compact_weights: Path) -> None:
    with pytest.raises(ConfigurationError, match="LOOKALIKE_ENCODER__DEVICE=cuda"):
        load_encoder(EncoderSettings(weights=str(compact_weights), device="cuda"))


def test_a_url_is_fetched_once_and_checked(
    server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    url = f"{server}/model-{hashlib.sha256(BODY).hexdigest()[:8]}.pth"
    path = fetch.from_url(spec_of("resnet50"), url)
    assert path.read_bytes() == BODY
    count = len(Files.requests)
    assert fetch.from_url(spec_of("resnet50"), url) == path
    assert len(Files.requests) == count
    with pytest.raises(WeightsUnavailable, match="invalid hash value"):
        fetch.from_url(spec_of("resnet50"), f"{server}/model-00000000.pth")
    assert not (tmp_path / "hub/checkpoints/model-00000000.pth").exists()


def test_without_a_network_the_message_has_the_ways_out(
    free_port: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("TORCH_HOME", str(tmp_path))
    with pytest.raises(WeightsUnavailable, match=WAYS_OUT):
        fetch.from_url(spec_of("resnet50"), f"http://127.0.0.1:{free_port}/model-00000000.pth")


@pytest.fixture
def hub(server: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> str:
    """Point the client at our server, with an empty cache."""
    template = f"{server}/{{repo_id}}/resolve/{{revision}}/{{filename}}"
    monkeypatch.setattr(constants, "HUGGINGFACE_CO_URL_TEMPLATE", template)
    monkeypatch.setattr(constants, "ENDPOINT", server)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path))
    return "shop/model"


def test_the_hub_gives_the_first_file_that_it_has_and_the_cache_gives_it_again(hub: str) -> None:
    names = ("absent.safetensors", "model.safetensors")
    path = fetch.from_hub(spec_of("resnet50"), hub, names)
    assert path.read_bytes() == BODY
    assert "GET /shop/model/resolve/main/model.safetensors" in Files.requests
    Files.requests.clear()
    assert fetch.from_hub(spec_of("resnet50"), hub, names) == path
    assert not Files.requests


def test_a_hub_without_the_file_is_named(hub: str) -> None:
    with pytest.raises(
        WeightsUnavailable, match=r"shop/model on the Hugging Face Hub has none of absent\.bin"
    ):
        fetch.from_hub(spec_of("resnet50"), hub, ("absent.bin",))


def test_a_hub_that_fails_is_asked_once(hub: str) -> None:
    with pytest.raises(WeightsUnavailable, match=WAYS_OUT):
        fetch.from_hub(spec_of("resnet50"), hub, ("overloaded.bin", "model.safetensors"))
    assert Files.requests == ["HEAD /shop/model/resolve/main/overloaded.bin"]
