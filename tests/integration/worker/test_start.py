"""Processes that are started before what they need."""

import json
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis

from config.settings import PREFIX, EncoderSettings
from recommender.encoders.load import load_encoder
from recommender.encoders.recipe import Recipe
from recommender.index.open import open_engine
from recommender.swap_state import SwapBook
from tests.integration.index.qdrant_servicer import qdrant_server

Start = Callable[..., "subprocess.Popen[bytes]"]


@pytest.fixture
def log(tmp_path: Path) -> Path:
    return tmp_path / "process.log"


@pytest.fixture
def start(environment: dict[str, str], log: Path) -> Iterator[Start]:
    """Start a module of ours as a process."""
    started: list[subprocess.Popen[bytes]] = []

    def go(*module: str, **variables: str) -> "subprocess.Popen[bytes]":
        env = {**environment, **{f"{PREFIX}{name}": value for name, value in variables.items()}}
        with log.open("ab") as output:
            process = subprocess.Popen(  # noqa: S603
                [sys.executable, "-m", *module], env=env, stdout=output, stderr=output
            )
        started.append(process)
        return process

    yield go
    for process in started:
        if process.poll() is None:
            process.kill()
        process.wait(10)


@pytest.fixture
def index_port() -> int:
    """A port that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
        return port


def events(log: Path, event: str) -> list[dict[str, Any]]:
    """The lines of JSON of one event."""
    lines = (line for line in log.read_text().splitlines() if line.startswith("{"))
    return [said for line in lines if (said := json.loads(line))["event"] == event]


WORKER = ("celery", "-A", "worker", "worker", "-P", "threads", "--without-gossip", "--without-mingle")
STREAM = ("worker.stream",)
API = ("recommender.api",)


@pytest.mark.parametrize("module", [WORKER, STREAM])
def test_redis_may_come_later(
    module: tuple[str, ...], start: Start, log: Path, redis_server: Any, wait_for: Any
) -> None:
    redis_server.kill()
    process = start(*module)
    first = wait_for("it waits", lambda: events(log, "waiting_for"))[0]
    assert (first["what"], first["where"]) == ("redis", redis_server.url)
    assert process.poll() is None
    redis_server.start()
    ready = "stream_consuming" if module == STREAM else "api_serving"
    wait_for("it is ready", lambda: events(log, ready))
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0


@pytest.mark.parametrize("module", [WORKER, STREAM])
@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGINT])
def test_told_to_end_while_it_waits_it_ends(
    module: tuple[str, ...], number: int, start: Start, log: Path, redis_server: Any, wait_for: Any
) -> None:
    redis_server.kill()
    process = start(*module)
    wait_for("it waits", lambda: len(events(log, "waiting_for")) > 1)
    process.send_signal(number)
    assert process.wait(60) == 0
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("module", [WORKER, API])
def test_the_index_may_come_later(
    module: tuple[str, ...], start: Start, log: Path, tmp_path: Path, index_port: int, wait_for: Any
) -> None:
    index = {"INDEX__URL": "http://user:secret@127.0.0.1:1", "INDEX__GRPC_PORT": str(index_port)}
    process = start(*module, **index)
    first = wait_for("it waits", lambda: events(log, "waiting_for"))[0]
    assert (first["what"], first["where"]) == ("index", "http://127.0.0.1:1")
    with qdrant_server(tmp_path, index_port):
        if module == API:
            (said,) = wait_for("it serves", lambda: events(log, "api_listening"))
            assert httpx.get(f"{said['url']}/readyz").is_success
        else:
            wait_for("it is ready", lambda: "celery@" in log.read_text() and events(log, "resources_opened"))
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0


@pytest.mark.parametrize("module", [WORKER, API])
def test_a_wait_for_the_index_ends_when_told_to(
    module: tuple[str, ...], start: Start, log: Path, index_port: int, wait_for: Any
) -> None:
    process = start(*module, INDEX__URL="http://127.0.0.1:1", INDEX__GRPC_PORT=str(index_port))
    wait_for("it waits", lambda: events(log, "waiting_for"))
    process.send_signal(signal.SIGTERM)
    assert process.wait(60) == 0
    assert "Traceback" not in log.read_text()


@pytest.mark.parametrize("module", [WORKER, API])
def test_what_is_wrong_is_not_waited_for(
    module: tuple[str, ...], start: Start, log: Path, tmp_path: Path
) -> None:
    with qdrant_server(tmp_path) as (port, state):
        state.version = "1.16.3"
        process = start(*module, INDEX__URL="http://127.0.0.1:1", INDEX__GRPC_PORT=str(port))
        assert process.wait(60) > 0
    said = log.read_text()
    assert said.count("1.17 or newer") == 1
    assert "waiting_for" not in said
    assert "Traceback" not in said


def test_the_api_follows_a_flip_without_a_restart_and_begins_with_the_alias_after_one(
    start: Start,
    log: Path,
    tmp_path: Path,
    weights: Path,
    make_settings: Any,
    redis_server: Any,
    wait_for: Any,
) -> None:
    by = Recipe("compact-128", str(weights))
    new = load_encoder(by.on(EncoderSettings(device="cpu")))

    def serving(process: "subprocess.Popen[bytes]", url: str) -> str:
        assert process.poll() is None, log.read_text()
        return str(httpx.get(f"{url}/v1/catalog").json()["encoder"])

    with qdrant_server(tmp_path) as (port, _), redis.Redis.from_url(redis_server.url) as client:
        index = {"INDEX__URL": "http://127.0.0.1:1", "INDEX__GRPC_PORT": str(port)}
        process = start(*API, **index)
        url = wait_for("it serves", lambda: events(log, "api_listening"))[0]["url"]
        old = serving(process, url)
        engine = open_engine(make_settings(index={"url": index["INDEX__URL"], "grpc_port": port}))
        engine.create(new.fingerprint, new.spec.dimension, by)
        engine.promote(new.fingerprint)
        wait_for("it follows", lambda: serving(process, url) == new.fingerprint)
        (report,) = SwapBook(client, "lookalike").processes().values()
        assert (report.kind, report.serving) == ("api", new.fingerprint)
        assert old.rpartition("-")[0] == "compact"
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
        assert SwapBook(client, "lookalike").processes() == {}
        again = start(*API, **index)
        url = wait_for("it serves again", lambda: events(log, "api_listening")[1:])[0]["url"]
        assert serving(again, url) == new.fingerprint
        assert events(log, "encoder_follows_alias")[0]["configured"] == "compact"
        engine.close()


@pytest.mark.parametrize("module", [WORKER, STREAM])
def test_metrics_have_a_port_of_their_own_where_no_api_is_served(
    module: tuple[str, ...], start: Start, log: Path, tmp_path: Path, wait_for: Any
) -> None:
    with qdrant_server(tmp_path) as (port, _):
        index = {"INDEX__URL": "http://127.0.0.1:1", "INDEX__GRPC_PORT": str(port)}
        process = start(*module, WORKER__METRICS_PORT="0", **index)
        (said,) = wait_for("it listens", lambda: events(log, "metrics_listening"))
        answer = httpx.get(f"http://{said['host']}:{said['port']}/metrics")
        assert "lookalike_stream_forwarded_total" in answer.text
        second = start("worker.stream", WORKER__METRICS_PORT=str(said["port"]))
        assert second.wait(60) == 1
        assert "can't serve metrics" in log.read_text()
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0
