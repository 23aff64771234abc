import socket
from pathlib import Path

import pytest

from worker import redis_server
from worker.redis_server import PrivateRedis, avoid_usual_port


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch, free_port: int) -> int:
    """Stands in for 6379, which this machine may use."""
    monkeypatch.setattr(redis_server, "USUAL_PORT", free_port)
    return free_port


def test_the_usual_port_is_taken_if_it_is_free(tmp_path: Path, usual: int) -> None:
    assert PrivateRedis(tmp_path).port == usual
    assert [entry.name for entry in (tmp_path / "redis").iterdir()] == ["port"]


def test_a_port_is_kept_as_long_as_it_is_free(tmp_path: Path, usual: int) -> None:
    with socket.create_server(("127.0.0.1", usual)):
        port = PrivateRedis(tmp_path).port
    assert port != usual
    assert PrivateRedis(tmp_path).port == port
    with socket.create_server(("127.0.0.1", port)):
        assert PrivateRedis(tmp_path).port != port


@pytest.mark.parametrize("left", ["", "no port"])
def test_what_a_killed_process_left_half_written_is_no_port(tmp_path: Path, usual: int, left: str) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "port").write_text(left)
    assert PrivateRedis(tmp_path).port == usual


def test_a_stack_of_its_own_avoids_the_usual_port(tmp_path: Path, usual: int) -> None:
    avoid_usual_port(tmp_path)
    port = PrivateRedis(tmp_path).port
    assert port != usual
    avoid_usual_port(tmp_path)
    assert PrivateRedis(tmp_path).port == port
