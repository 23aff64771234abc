import stat
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread

import pytest

from worker.owner import Owner, find_owner, leave_address, read_address


def test_the_address_is_private_and_gone_afterwards(tmp_path: Path) -> None:
    owner = Owner("http://127.0.0.1:1", "token", "redis://", 1)
    with leave_address(tmp_path / "data", owner):
        path = tmp_path / "data" / "owner.json"
        assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert read_address(tmp_path / "data") == owner
        assert [entry.name for entry in path.parent.iterdir()] == ["owner.json"]
    assert not path.exists()


def test_what_a_killed_owner_left_is_no_owner(tmp_path: Path, free_port: int) -> None:
    with leave_address(tmp_path, Owner(f"http://127.0.0.1:{free_port}", "t", "", 1)):
        assert find_owner(tmp_path) is None
    assert find_owner(tmp_path) is None


def test_a_newer_address_is_left_alone(tmp_path: Path) -> None:
    newer = Owner("http://127.0.0.1:2", "t", "", 2)
    with leave_address(tmp_path, Owner("http://127.0.0.1:1", "t", "", 1)):
        newer_left = leave_address(tmp_path, newer)
        newer_left.__enter__()
    assert read_address(tmp_path) == newer


def test_the_environment_s_proxy_never_sees_the_token(
    monkeypatch: pytest.MonkeyPatch, free_port: int
) -> None:
    for name in ("NO_PROXY", "no_proxy"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{free_port}")
    monkeypatch.setenv("http_proxy", f"http://127.0.0.1:{free_port}")

    class Healthy(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(200)
            self.end_headers()

    with HTTPServer(("127.0.0.1", 0), Healthy) as server:
        thread = Thread(target=server.serve_forever)
        thread.start()
        try:
            assert Owner(f"http://127.0.0.1:{server.server_port}", "token", "", 1).answers()
        finally:
            server.shutdown()
            thread.join()
