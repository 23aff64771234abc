"""An object store that costs little: nginx where there is one, else a stand-in of our own.

Both answer path-style GETs of one folder with ETags and 304, by sendfile, from a process of their own, and
keep a log of the statuses they answered.
"""

import shutil
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from worker.die_with_parent import dying_with_parent

BUCKET = "bucket"
_NGINX = """
worker_processes 1; daemon off; master_process off; pid {folder}/pid; error_log {folder}/error.log;
events {{ worker_connections 512; }}
http {{
  log_format status $status; access_log {log} status;
  sendfile on; tcp_nopush on; keepalive_requests 1000000; default_type image/jpeg;
  client_body_temp_path {folder}/t1; proxy_temp_path {folder}/t2; fastcgi_temp_path {folder}/t3;
  uwsgi_temp_path {folder}/t4; scgi_temp_path {folder}/t5;
  server {{ listen 127.0.0.1:{port}; root {root}; etag on; }}
}}
"""


@dataclass(frozen=True)
class Store:
    """Where it listens, what it is, and its log: a line an answer."""

    endpoint_url: str
    kind: str
    log: Path

    def answered(self) -> Counter[str]:
        """How many answers of each status it has given so far; 200 is a download, 304 is none."""
        return Counter(self.log.read_text().split())


@contextmanager
def running_store(root: Path, scratch: Path, *, lists: bool = False) -> Iterator[Store]:
    """Serve `root`, whose folders are buckets; with `lists` by what can list them, which nginx can't."""
    port, log = free_port(), scratch / "access.log"
    scratch.mkdir(parents=True, exist_ok=True)
    log.write_bytes(b"")
    nginx = (
        None if lists else shutil.which("nginx") or shutil.which("nginx", path="/usr/sbin:/usr/local/sbin")
    )
    if nginx and not lists:
        config = scratch / "nginx.conf"
        config.write_text(_NGINX.format(folder=scratch, port=port, root=root, log=log))
        said = subprocess.run([nginx, "-v"], capture_output=True, text=True, check=True).stderr
        kind, command = said.strip().rpartition(": ")[2], [nginx, "-p", str(scratch), "-c", str(config)]
    else:
        kind = "stand-in (tests.benchmarks.stand_in)"
        command = [sys.executable, "-m", "tests.benchmarks.stand_in", str(root), str(port), str(log)]
    process = subprocess.Popen(dying_with_parent(command, signal.SIGKILL), stderr=subprocess.DEVNULL)
    try:
        _wait(port, process)
        yield Store(f"http://127.0.0.1:{port}", kind, log)
    finally:
        process.kill()
        process.wait()


def _wait(port: int, process: "subprocess.Popen[bytes]") -> None:
    for _ in range(200):
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            if process.poll() is not None:
                break
            time.sleep(0.05)
        else:
            return
    raise RuntimeError("the object store does not answer")


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])
