"""`lookalike up` as a process, and the command line against it."""

import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import httpx
import psutil
import pytest
import redis

from config.settings import PREFIX
from worker.owner import Owner, read_address
from worker.redis_server import avoid_usual_port, private_redis

Start = Callable[[], "subprocess.Popen[bytes]"]


@pytest.fixture
def variables(environment: dict[str, str]) -> dict[str, str]:
    """As on a laptop: no Redis is named."""
    return {name: value for name, value in environment.items() if name != f"{PREFIX}REDIS__URL"}


@pytest.fixture
def data_dir(variables: dict[str, str]) -> Path:
    folder = Path(variables[f"{PREFIX}DATA_DIR"])
    avoid_usual_port(folder)
    return folder


@pytest.fixture
def start_up(variables: dict[str, str], tmp_path: Path) -> Iterator[Start]:
    started: list[subprocess.Popen[bytes]] = []

    def start() -> "subprocess.Popen[bytes]":
        with (tmp_path / "up.log").open("ab") as log:
            process = subprocess.Popen(
                [sys.executable, "-m", "worker.up"], env=variables, stdout=log, stderr=log
            )
        started.append(process)
        return process

    yield start
    for process in started:
        if process.poll() is None:
            process.terminate()
        process.wait(60)


@pytest.fixture
def lookalike(variables: dict[str, str]) -> Callable[..., "subprocess.CompletedProcess[str]"]:
    def run(*arguments: str, stdin: str | None = None, **settings: str) -> "subprocess.CompletedProcess[str]":
        command = [sys.executable, "-c", "from worker.cli import main; main()", *arguments]
        env = variables | {f"{PREFIX}{name}": value for name, value in settings.items()}
        return subprocess.run(  # noqa: S603
            command, env=env, input=stdin, capture_output=True, text=True, check=False, timeout=120
        )

    return run


def ready(data_dir: Path, not_pid: int = 0) -> Owner | None:
    owner = read_address(data_dir)
    return owner if owner and owner.pid != not_pid and owner.answers("/readyz") else None


def test_killed_and_started_again_it_has_what_it_had(
    start_up: Any,
    data_dir: Path,
    wait_for: Any,
    s3: Any,
    photo: Callable[[int], bytes],
    document: Callable[..., dict[str, Any]],
) -> None:
    up = start_up()
    owner = wait_for("up is ready", lambda: ready(data_dir))
    children = psutil.Process(up.pid).children(recursive=True)
    assert len(children) == 2
    uri = s3.put("a.jpg", photo(1))
    with redis.Redis.from_url(owner.redis_url) as client:
        client.xadd("lookalike:events", {"type": "products.upsert", "data": json.dumps([document("a", uri)])})
        if shutil.which("redis-cli"):
            subprocess.run(  # noqa: S603
                [
                    *("redis-cli", "-u", owner.redis_url, "XADD", "lookalike:events", "*"),
                    *("type", "products.upsert", "data", json.dumps(document("b", uri))),
                ],
                check=True,
                capture_output=True,
            )
        else:
            client.xadd(
                "lookalike:events", {"type": "products.upsert", "data": json.dumps(document("b", uri))}
            )
    for identity in "ab":
        wait_for(f"{identity} is searchable", lambda i=identity: found(owner, i))

    os.kill(up.pid, signal.SIGKILL)
    up.wait(10)
    _, alive = psutil.wait_procs(children, timeout=30)
    assert alive == []
    assert (data_dir / "owner.json").exists()  # nobody could remove it

    up = start_up()
    again = wait_for("up is ready again", lambda: ready(data_dir, owner.pid))
    assert again.redis_url == owner.redis_url
    assert found(again, "a")["searchable"]
    items = httpx.get(f"{again.url}/v1/products/a/similar", headers=again.headers).json()["items"]
    assert [item["id"] for item in items] == ["b"]

    os.kill(again.pid, signal.SIGKILL)  # the worker alone: its parent starts another
    third = wait_for("the worker was started again", lambda: ready(data_dir, again.pid))
    assert found(third, "b")

    children = psutil.Process(up.pid).children(recursive=True)
    up.terminate()
    assert up.wait(60) == 0
    assert not (data_dir / "owner.json").exists()
    assert not any(child.is_running() for child in children)


def test_killed_it_waits_for_the_redis_that_is_left(
    start_up: Any, data_dir: Path, tmp_path: Path, wait_for: Any
) -> None:
    up = start_up()
    owner = wait_for("up is ready", lambda: ready(data_dir))
    (redis_server,) = [child for child in psutil.Process(up.pid).children() if "redis" in child.name()]
    redis_server.suspend()  # as if it took long to write its file
    os.kill(up.pid, signal.SIGKILL)
    up.wait(10)
    up = start_up()
    wait_for("it waits", lambda: "private redis" in (tmp_path / "up.log").read_text())
    assert redis_server.is_running()
    redis_server.resume()
    again = wait_for("up is ready again", lambda: ready(data_dir, owner.pid))
    assert again.redis_url == owner.redis_url


def test_told_to_end_while_it_waits_it_ends(
    start_up: Any, data_dir: Path, tmp_path: Path, wait_for: Any
) -> None:
    with private_redis(data_dir, lambda _: True):
        up = start_up()
        wait_for("it waits", lambda: "private redis" in (tmp_path / "up.log").read_text())
        up.terminate()
        assert up.wait(60) == 0


@pytest.mark.usefixtures("data_dir")
def test_what_keeps_up_from_starting_is_said_once(variables: Any, start_up: Any, tmp_path: Path) -> None:
    variables[f"{PREFIX}ENCODER__NAME"] = "no-such-encoder"
    assert start_up().wait(60) == 1
    said = (tmp_path / "up.log").read_text()
    assert said.count("UnknownEncoder") == 1
    assert "Traceback" not in said


def test_a_second_one_in_the_same_folder_is_refused(
    start_up: Any, data_dir: Path, tmp_path: Path, wait_for: Any
) -> None:
    first = start_up()
    wait_for("the first has its redis", (data_dir / "redis" / "redis.log").exists)
    assert start_up().wait(60) == 1
    assert first.poll() is None
    said = (tmp_path / "up.log").read_text()
    assert f"another `lookalike up` runs in {data_dir}" in said
    assert "Traceback" not in said


def test_a_replayed_dead_letter_is_searchable_once_its_image_is_there(
    start_up: Any,
    data_dir: Path,
    wait_for: Any,
    lookalike: Any,
    s3: Any,
    photo: Callable[[int], bytes],
    document: Callable[..., dict[str, Any]],
) -> None:
    start_up()
    owner = wait_for("up is ready", lambda: ready(data_dir))
    product = json.dumps(document("late", f"s3://{s3.bucket}/late.jpg"))
    published = lookalike("publish", "-", stdin='{"a":' * 100_000 + f"\n{product}")
    assert published.returncode == 1
    assert "line 1: not JSON" in published.stderr
    assert "Traceback" not in published.stderr

    def listed() -> Any:
        return json.loads(lookalike("dead-letters", "list", "--json").stdout)["letters"]

    (letter,) = wait_for("the dead letter", listed)
    assert letter["reason"] == "ImageNotFound"
    assert not found(owner, "late")["searchable"]
    s3.put("late.jpg", photo(1))
    poison = {
        "headers": {"task": "products.upsert", "id": "1"},
        "body": json.dumps([[[document("poison", s3.put("p.jpg", photo(2)))]], {}, {}]),
        "content-type": "application/json",
        "content-encoding": "utf-8",
        "properties": {"delivery_info": {"routing_key": "bulk"}},
    }
    with redis.Redis.from_url(owner.redis_url) as client:
        client.lpush("products", json.dumps(poison), "garbage")  # it lacks its tag
    wait_for("three dead letters", lambda: len(listed()) == 3)
    replayed = lookalike("dead-letters", "replay", "--all", "--json")
    assert replayed.returncode == 1
    assert len(json.loads(replayed.stdout)["replayed"]) == 2
    for identity in ("late", "poison"):
        wait_for(f"{identity} is searchable", lambda i=identity: (found(owner, i) or {}).get("searchable"))
    (kept,) = listed()
    assert kept["document"] == "garbage"


def test_the_command_line(
    start_up: Any,
    data_dir: Path,
    wait_for: Any,
    lookalike: Any,
    s3: Any,
    photo: Callable[[int], bytes],
    document: Callable[..., dict[str, Any]],
    tmp_path: Path,
) -> None:
    nobody = lookalike("dead-letters", "list")
    assert nobody.returncode == 1
    assert nobody.stderr.count("\n") == 1
    assert "no `lookalike up` runs" in nobody.stderr
    start_up()
    owner = wait_for("up is ready", lambda: ready(data_dir))

    uris = [s3.put(f"{n}.jpg", photo(n)) for n in range(3)]
    feed = tmp_path / "feed.jsonl"
    lines = [json.dumps(document(f"p{n}", uri, price=float(n))) for n, uri in enumerate(uris)]
    feed.write_text("\n".join([*lines, "no json", '{"id": "bad"}']))
    published = lookalike("publish", str(feed), "--json")
    assert published.returncode == 1
    result = json.loads(published.stdout)
    assert (result["published"], result["messages"]) == (4, 1)
    assert result["refused"][0]["line"] == 4
    piped = lookalike("publish", "-", "--bulk", stdin=json.dumps(document("piped", uris[0])))
    assert piped.returncode == 0, piped.stderr
    for identity in ("p0", "p1", "p2", "piped"):
        wait_for(f"{identity} is searchable", lambda i=identity: found(owner, i))

    by_id = json.loads(lookalike("similar", "p0", "--limit", "1", "--json").stdout)
    assert [item["id"] for item in by_id["items"]] == ["piped"]
    photo_file = tmp_path / "photo.jpg"
    photo_file.write_bytes(photo(2))
    by_photo = lookalike(
        "similar", "--image", str(photo_file), "--price-max", "2", "--category", "women", "--json"
    )
    assert json.loads(by_photo.stdout)["items"][0]["id"] == "p2", by_photo.stderr
    assert "p1" in lookalike("similar", "p0").stdout
    for arguments, complaint in {
        ("similar", "nobody"): "nobody",
        ("similar", "--text", "red shoes"): "text",
        ("similar", "p0", "--attr", "colour=red"): "colour",
    }.items():
        refused = lookalike(*arguments)
        assert refused.returncode == 1
        assert complaint in refused.stderr
        assert "Traceback" not in refused.stderr

    wait_for(
        "the dead letter",
        lambda: json.loads(lookalike("dead-letters", "list", "--json").stdout)["total"] == 1,
    )
    (letter,) = json.loads(lookalike("dead-letters", "list", "--json").stdout)["letters"]
    assert json.loads(lookalike("dead-letters", "show", letter["id"]).stdout) == letter
    replayed = json.loads(lookalike("dead-letters", "replay", letter["id"], "--json").stdout)
    assert replayed == {"replayed": [letter["id"]], "refused": []}

    def came_back() -> bool:
        letters = json.loads(lookalike("dead-letters", "list", "--json").stdout)["letters"]
        return [one["document"] for one in letters] == [letter["document"]] and letters[0]["id"] != letter[
            "id"
        ]

    wait_for("it fails again", came_back)
    assert json.loads(lookalike("dead-letters", "drop", "--all", "--json").stdout)["dropped"] == 1
    checks = json.loads(lookalike("doctor", "--json").stdout)
    assert all(set(check) == {"subject", "state", "found", "remedy"} for check in checks)
    assert [check for check in checks if check["state"] == "fix"] == []
    assert {"redis", "encoder", "index", f"bucket {s3.bucket}"} <= {check["subject"] for check in checks}
    sick = lookalike("doctor", ENCODER__NAME="no-such", CATALOG="other")
    assert sick.returncode == 1
    assert "FIX  encoder: " in sick.stdout
    assert json.loads(lookalike("reindex", "--id", "p0", "--json").stdout)["published"] == "catalog.reindex"
    refused = lookalike("refresh", "nonsense")
    assert refused.returncode == 1
    assert "feed" in refused.stderr
    assert "products.upsert" in json.loads(lookalike("schema").stdout)["properties"]


def found(owner: Owner, identity: str) -> Any:
    response = httpx.get(f"{owner.url}/v1/products/{identity}", headers=owner.headers, timeout=30)
    return response.json() if response.is_success else None
