"""Listening, starting and stopping."""

import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import httpx
import pytest
import torch
from safetensors.torch import save_file

from recommender.api.app import create_app
from recommender.api.serve import _listen, serve_in_thread
from recommender.encoders.compact.model import CompactResNet
from recommender.errors import StartupError
from tests.shop import Shop


def test_a_server_answers_until_it_is_stopped(catalog: Shop) -> None:
    server = serve_in_thread(create_app(catalog.resources, catalog.settings), "127.0.0.1", 0)
    assert server.alive
    assert httpx.get(f"{server.url}/healthz").status_code == 200
    server.stop()
    server.stop()
    assert not server.alive
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{server.url}/healthz")


def test_a_port_that_is_taken_reaches_the_caller(catalog: Shop) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        with pytest.raises(StartupError, match=f"port {port}"):
            serve_in_thread(create_app(catalog.resources, catalog.settings), "127.0.0.1", port)


def test_all_interfaces_need_a_key(catalog: Shop) -> None:
    app = create_app(catalog.resources, catalog.settings, extra_keys=("owner",))
    with pytest.raises(StartupError, match="API__KEYS"):
        serve_in_thread(app, "0.0.0.0", 0)  # noqa: S104


def _start(folder: Path, port: int, **settings: str) -> "subprocess.Popen[str]":
    torch.manual_seed(0)
    weights = folder / "compact.safetensors"
    save_file(CompactResNet().state_dict(), weights)
    environment = os.environ | {
        "LOOKALIKE_DATA_DIR": str(folder / "data"),
        "LOOKALIKE_ENCODER__WEIGHTS": str(weights),
        "LOOKALIKE_API__PORT": str(port),
        "LOOKALIKE_LOG__FORMAT": "json",
        "PYTHONPATH": str(Path(__file__).parents[3]),
        **settings,
    }
    command = [sys.executable, "-m", "recommender.api"]
    return subprocess.Popen(command, cwd=folder, env=environment, stderr=subprocess.PIPE, text=True)  # noqa: S603


def _wait_until_ready(process: "subprocess.Popen[str]", url: str) -> None:
    while process.poll() is None:
        try:
            httpx.get(f"{url}/readyz").raise_for_status()
        except httpx.TransportError:
            time.sleep(0.1)
        else:
            return
    pytest.fail(process.communicate()[1])


def test_a_process_of_its_own_serves_and_closes_on_sigterm(tmp_path: Path, free_port: int) -> None:
    process = _start(tmp_path, free_port)
    try:
        _wait_until_ready(process, f"http://127.0.0.1:{free_port}")
        assert httpx.get(f"http://127.0.0.1:{free_port}/v1/categories").json() == {"categories": {}}
        process.send_signal(signal.SIGTERM)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert process.returncode == 0, errors
    assert '"event": "api_listening"' in errors
    assert '"event": "resources_closed"' in errors


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"LOOKALIKE_API__HOST": "0.0.0.0"}, "LOOKALIKE_API__KEYS"),  # noqa: S104
        ({"LOOKALIKE_API__PROT": "1"}, "LOOKALIKE_API__PROT"),
    ],
)
def test_a_process_that_must_not_start_says_why(tmp_path: Path, settings: dict[str, str], said: str) -> None:
    process = _start(tmp_path, 0, **settings)
    _, errors = process.communicate(timeout=120)
    assert process.returncode == 2
    assert said in errors.splitlines()[-1]
    assert "Traceback" not in errors


def test_the_body_of_an_answer_does_not_wait_for_its_headers_to_be_acknowledged(catalog: Shop) -> None:
    app = create_app(catalog.resources, catalog.settings)
    with _listen(app, "127.0.0.1", 0) as listener, socket.create_connection(listener.getsockname()):
        accepted, _ = listener.accept()
        with accepted:
            assert accepted.getsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY)
