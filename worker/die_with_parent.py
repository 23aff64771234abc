"""Run a command that the kernel ends when its parent does.

`python -m worker.die_with_parent PID SIGNAL COMMAND...`

A launcher of its own, since code between fork and exec is not safe in a process with threads.
"""

import ctypes
import os
import signal
import sys
from collections.abc import Sequence

_PR_SET_PDEATHSIG = 1  # linux/prctl.h


def dying_with_parent(command: Sequence[str], death: signal.Signals) -> list[str]:
    """The command line that runs `command` and sends it `death` when this process ends, however."""
    launcher = [sys.executable, "-m", "worker.die_with_parent", str(os.getpid()), str(int(death))]
    return [*launcher, *command]


def die_with_parent(death: signal.Signals) -> None:
    """Have the kernel send this process `death` when the thread that started it ends; Linux only."""
    if sys.platform == "linux":
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.prctl(_PR_SET_PDEATHSIG, int(death)) != 0:
            raise OSError(ctypes.get_errno(), "prctl")


def main() -> None:
    """Arrange for the signal, then become the command."""
    parent, death, *command = sys.argv[1:]
    die_with_parent(signal.Signals(int(death)))
    if os.getppid() != int(parent):  # it ended before the kernel was told
        sys.exit(1)
    os.execvp(command[0], command)  # noqa: S606  # the point: no shell between


if __name__ == "__main__":
    main()
