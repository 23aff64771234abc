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


def _all_of(connection: socket.socket) -> bytes:
    return b"".join(iter(lambda: connection.recv(65536), b""))


def test_on_sigterm_requests_in_hand_are_answered_and_new_ones_find_nobody(
    tmp_path: Path, free_port: int
) -> None:
    """What is in hand is a question of which half has come."""
    process = _start(tmp_path, free_port, LOOKALIKE_API__DEADLINE_S="30")
    address = ("127.0.0.1", free_port)
    body = b'{"positive": ["nobody"]}'
    try:
        _wait_until_ready(process, f"http://127.0.0.1:{free_port}")
        with (
            socket.create_connection(address, timeout=30) as asking,
            socket.create_connection(address, timeout=30) as idle,
        ):
            asking.sendall(
                b"POST /v1/similar HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: %d\r\n\r\n" % len(body) + body[:10]
            )
            idle.sendall(b"GET /healthz HTTP/1.1\r\nHost: x\r\n\r\n")
            assert idle.recv(65536).startswith(b"HTTP/1.1 200 ")
            process.send_signal(signal.SIGTERM)
            _all_of(idle)  # ends, since it is closed
            with pytest.raises(ConnectionRefusedError):
                socket.create_connection(address, timeout=30)
            assert process.poll() is None, "it did not wait for what is in hand"
            asking.sendall(body[10:])
            answer = _all_of(asking)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert answer.startswith(b"HTTP/1.1 404 "), answer
    assert b"urn:lookalike:problem:product-not-found" in answer
    assert process.returncode == 0, errors
    assert '"event": "resources_closed"' in errors


def test_on_sigterm_a_request_that_never_ends_is_not_waited_for_beyond_its_deadline(
    tmp_path: Path, free_port: int
) -> None:
    process = _start(tmp_path, free_port, LOOKALIKE_API__DEADLINE_S="3")
    try:
        _wait_until_ready(process, f"http://127.0.0.1:{free_port}")
        with socket.create_connection(("127.0.0.1", free_port), timeout=30) as asking:
            asking.sendall(
                b"POST /v1/similar HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100\r\n\r\n"
            )
            process.send_signal(signal.SIGTERM)
            answer = _all_of(asking)
        _, errors = process.communicate(timeout=60)
    finally:
        process.kill()
    assert answer.startswith(b"HTTP/1.1 408 "), answer
    assert process.returncode == 0, errors


@pytest.mark.parametrize(
    ("settings", "said"),
    [
        ({"LOOKALIKE_API__RATE_PER_S": "5"}, "LOOKALIKE_REDIS__URL"),
        ({"LOOKALIKE_API__KEYS": '["sha256:abc"]'}, "LOOKALIKE_API__KEYS"),
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
