"""`lookalike up`: everything on one machine, kept running by a small parent.

The parent owns no data and no connection: it starts a private redis-server (unless one is named) and one
Celery worker that holds index, encoder, API, stream consumer and schedule, and starts either again when
it ends. `python -m worker.up` runs it.
"""

import fcntl
import logging
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from config.logging import configure_logging
from config.settings import PREFIX, ConfigurationError, Settings, load_settings
from recommender.errors import BrokerUnavailable, ShuttingDown
from recommender.waiting import MAX_PAUSE_S
from worker.child import Child
from worker.die_with_parent import dying_with_parent
from worker.owner import Owner, read_address
from worker.redis_server import PrivateRedis, avoid_usual_port, private_redis

log = logging.getLogger(__name__)
END_SLACK_S = 15
"""Beyond the worker's own grace period, within which its watchdog ends it."""
REDIS_ENDS_WITHIN_S = 30
SAY_AFTER_S = 3
STACK_READY_S = 180
WORKER = ("worker", "-P", "threads", "--without-gossip", "--without-mingle", "--without-heartbeat")


class Up:
    """The parent. `run` blocks until `stopping` is set; by a signal handler, say."""

    def __init__(self, settings: Settings, private: PrivateRedis | None, stopping: Event) -> None:
        self._settings = settings
        self._private = private
        self._stopping = stopping
        environment = {**os.environ, f"{PREFIX}WORKER__ALL_IN_ONE": "true"}
        self._redis: Child | None = None
        if private is not None:
            self._redis = Child("redis", private.command, os.environ, (private.lock,))
            environment[f"{PREFIX}REDIS__URL"] = private.url
        command = [sys.executable, "-m", "celery", "--quiet", "-A", "worker", *WORKER]
        self._worker = Child("worker", lambda: dying_with_parent(command, signal.SIGKILL), environment)

    def run(self) -> int:
        """Keep everything running; returns the exit code.

        Raises:
            ConfigurationError: redis-server does not start.
        """
        try:
            self._start_redis()
            if self._stopping.is_set():
                return 0
            self._worker.start()
            announced = False
            while not self._stopping.wait(0.2):
                code = self._worker.returncode
                if not announced and code is not None and code > 0:
                    return code  # what kept it from starting will do so again: its message is the answer
                announced = announced or self._announce()
                for child in (self._redis, self._worker):
                    if child is not None:
                        child.tend()
            return 0
        finally:
            self._worker.end(self._settings.worker.grace_s + END_SLACK_S)
            if self._redis is not None:
                self._redis.end(REDIS_ENDS_WITHIN_S)

    def _start_redis(self) -> None:
        """Start it, and wait until it has read its file, which may take long."""
        if self._redis is None or self._private is None:
            return
        redis, private = self._redis, self._private
        redis.start()
        said_at = time.monotonic() + SAY_AFTER_S
        while not self._stopping.wait(0.05):
            if redis.returncode is not None:
                raise ConfigurationError(f"redis-server does not start; see {private.folder}/redis.log")
            try:
                private.ping()
            except BrokerUnavailable as error:
                if time.monotonic() > said_at:
                    said_at = time.monotonic() + MAX_PAUSE_S
                    log.warning(
                        "waiting_for", extra={"what": "redis", "where": private.url, "error": str(error)}
                    )
            else:
                return

    def _announce(self) -> bool:
        """Say where the worker serves, once it does."""
        owner = read_address(self._settings.data_dir)
        if owner is None or owner.pid != self._worker.pid or not owner.answers():
            return False
        sys.stdout.write(f"Lookalike is up\n  gallery  {owner.url}\n  broker   {owner.redis_url}\n")
        sys.stdout.flush()
        return True


def main() -> int:
    """Run until SIGTERM or SIGINT."""
    try:
        settings = load_settings()
        configure_logging(settings.log)
        stopping = Event()
        with ExitStack() as stack:
            stack.enter_context(_alone_in(settings.data_dir))
            for number in (signal.SIGTERM, signal.SIGINT):
                signal.signal(number, lambda *_: stopping.set())
            private = None
            if settings.redis.url is None:
                private = stack.enter_context(private_redis(settings.data_dir, stopping.wait))
            return Up(settings, private, stopping).run()
    except ShuttingDown:
        return 0
    except ConfigurationError as error:
        sys.stderr.write(f"lookalike: {error}\n")
        return 1


@contextmanager
def _alone_in(data_dir: Path) -> Iterator[None]:
    """Hold the folder's lock, which the kernel lets go of when this process ends, however.

    Raises:
        ConfigurationError: another `lookalike up` runs in the folder.
    """
    data_dir.mkdir(parents=True, exist_ok=True)
    with (data_dir / "up.lock").open("a") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise ConfigurationError(
                f"another `lookalike up` runs in {data_dir}: end it, or name another {PREFIX}DATA_DIR"
            ) from error
        yield


@dataclass(frozen=True, slots=True)
class Stack:
    """A running `lookalike up`."""

    api_url: str
    redis_url: str
    api_key: str


@contextmanager
def running_stack(env: Mapping[str, str], data_dir: Path) -> Iterator[Stack]:
    """Run `lookalike up` in a process of its own, with these variables besides the environment's.

    Its private redis-server has a free port, its output goes to `data_dir`/up.log. Ends it cleanly, and
    waits for that.

    Raises:
        ConfigurationError: it ended before it was ready; the message holds the end of its output.
    """
    avoid_usual_port(data_dir)
    environment = {**os.environ, **env, f"{PREFIX}DATA_DIR": str(data_dir)}
    command = dying_with_parent([sys.executable, "-m", "worker.up"], signal.SIGTERM)
    with (data_dir / "up.log").open("ab") as output:
        start = output.tell()
        process = subprocess.Popen(command, env=environment, stdout=output, stderr=output)  # noqa: S603
    try:
        owner = _wait_until_ready(process, data_dir, start)
        yield Stack(owner.url, owner.redis_url, owner.token)
    finally:
        process.terminate()
        process.wait(load_settings().worker.grace_s + END_SLACK_S + REDIS_ENDS_WITHIN_S + 10)


def _wait_until_ready(process: "subprocess.Popen[bytes]", data_dir: Path, start: int) -> Owner:
    deadline = time.monotonic() + STACK_READY_S
    stale = read_address(data_dir)
    while process.poll() is None and time.monotonic() < deadline:
        owner = read_address(data_dir)
        if owner is not None and owner != stale and owner.answers("/readyz"):
            return owner
        time.sleep(0.1)
    with (data_dir / "up.log").open("rb") as output:
        output.seek(start)
        said = output.read().decode(errors="replace")[-2000:]
    raise ConfigurationError(f"lookalike up did not become ready:\n{said}")


if __name__ == "__main__":
    sys.exit(main())
