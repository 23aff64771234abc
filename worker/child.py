"""One process that a parent keeps running."""

import logging
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence

log = logging.getLogger(__name__)
STEADY_S = 60
MAX_PAUSE_S = 30


class Child:
    """Started, watched, started again after a growing pause, ended in the end.

    `inherited` are descriptors that it has from us.
    """

    def __init__(
        self,
        name: str,
        command: Callable[[], list[str]],
        environment: Mapping[str, str],
        inherited: Sequence[int] = (),
    ) -> None:
        self.name = name
        self._command = command
        self._environment = environment
        self._inherited = inherited
        self._process: subprocess.Popen[bytes] | None = None
        self._started_at = self._start_at = 0.0
        self._pause_s = 1.0

    @property
    def pid(self) -> int | None:
        """Its process id while it runs."""
        return self._process.pid if self._process is not None and self._process.poll() is None else None

    @property
    def returncode(self) -> int | None:
        """How it ended; None while it runs, or before it was started."""
        return self._process.poll() if self._process is not None else None

    def start(self) -> None:
        """Start it now."""
        # A session of its own: Ctrl+C in the terminal reaches the parent alone, which ends its children.
        self._process = subprocess.Popen(  # noqa: S603  # our own command line
            self._command(),
            env=dict(self._environment),
            start_new_session=True,
            pass_fds=self._inherited,
        )
        self._started_at = time.monotonic()

    def tend(self) -> None:
        """Start it again if it has ended and its pause is over."""
        if self._process is None or self._process.poll() is None:
            return
        now = time.monotonic()
        if self._start_at == 0.0:
            steady = now - self._started_at > STEADY_S
            self._pause_s = 1.0 if steady else min(self._pause_s * 2, MAX_PAUSE_S)
            self._start_at = now + self._pause_s
            log.error(
                "child_ended",
                extra={"child": self.name, "code": self._process.returncode, "again_in_s": self._pause_s},
            )
        elif now >= self._start_at:
            self._start_at = 0.0
            self.start()

    def end(self, within_s: float) -> None:
        """SIGTERM, and SIGKILL if that takes longer than `within_s`."""
        if self._process is None or self._process.poll() is not None:
            return
        self._process.terminate()
        try:
            self._process.wait(within_s)
        except subprocess.TimeoutExpired:
            log.error("child_killed", extra={"child": self.name, "after_s": within_s})  # noqa: TRY400
            self._process.kill()
            self._process.wait()
