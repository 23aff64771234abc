import socket
import subprocess
from pathlib import Path

import pytest

from recommender.errors import ShuttingDown
from worker import redis_server
from worker.redis_server import PrivateRedis, avoid_usual_port, private_redis


@pytest.fixture(autouse=True)
def usual(monkeypatch: pytest.MonkeyPatch, free_port: int) -> int:
    """Stands in for 6379, which this machine may use."""
    monkeypatch.setattr(redis_server, "USUAL_PORT", free_port)
    return free_port


def server(data_dir: Path) -> PrivateRedis:
    with private_redis(data_dir, stopped) as found:
        return found


def stopped(_: float) -> bool:
    return True


def test_the_usual_port_is_taken_if_it_is_free(tmp_path: Path, usual: int) -> None:
    assert server(tmp_path).port == usual
    assert [entry.name for entry in sorted((tmp_path / "redis").iterdir())] == ["lock", "port"]


def test_a_port_is_kept_as_long_as_it_is_free(tmp_path: Path, usual: int) -> None:
    with socket.create_server(("127.0.0.1", usual)):
        port = server(tmp_path).port
    assert port != usual
    assert server(tmp_path).port == port
    with socket.create_server(("127.0.0.1", port)):
        assert server(tmp_path).port != port


@pytest.mark.parametrize("left", ["", "no port"])
def test_what_a_killed_process_left_half_written_is_no_port(tmp_path: Path, usual: int, left: str) -> None:
    (tmp_path / "redis").mkdir()
    (tmp_path / "redis" / "port").write_text(left)
    assert server(tmp_path).port == usual


def test_a_stack_of_its_own_avoids_the_usual_port(tmp_path: Path, usual: int) -> None:
    avoid_usual_port(tmp_path)
    port = server(tmp_path).port
    assert port != usual
    avoid_usual_port(tmp_path)
    assert server(tmp_path).port == port


def test_that_of_the_last_run_is_waited_for(tmp_path: Path) -> None:
    with private_redis(tmp_path, stopped) as first:
        left_behind = subprocess.Popen(["sleep", "1000"], pass_fds=(first.lock,))  # noqa: S607
    waits = []

    def it_ends(seconds: float) -> bool:
        waits.append(seconds)
        left_behind.kill()
        left_behind.wait()
        return False

    with pytest.raises(ShuttingDown), private_redis(tmp_path, stopped):
        raise AssertionError("two at a time")
    with private_redis(tmp_path, it_ends) as second:
        assert second.port == first.port
    assert len(waits) == 1
