"""Three beats, two stream consumers and a worker; each is killed now and then, and started again."""

import os
import signal
import subprocess
import sys
import time
from dataclasses import dataclass, field
from random import Random

from tests.chaos.scene import Scene, Worker
from worker.die_with_parent import dying_with_parent

BEATS, STREAMS = ("beat-1", "beat-2", "beat-3"), ("stream-1", "stream-2")
ALL = ("worker", *STREAMS, *BEATS)


@dataclass
class Crew:
    """The processes by name."""

    stage: Scene
    running: dict[str, Worker] = field(default_factory=dict)
    kills: list[tuple[str, float]] = field(default_factory=list)
    """Roles and times."""

    def start(self, name: str) -> None:
        """Start one; does not wait for it."""
        role = name.partition("-")[0]
        arguments = {
            "worker": ["-q", "worker", "-P", "threads", "--without-gossip", "--without-mingle"],
            "beat": ["beat", "--pidfile=", "-s", str(self.stage.folder / name)],
            "stream": ["stream"],
        }[role]
        command = [sys.executable, "-m", "tests.chaos.triggers.app", *arguments]
        with self.stage.log.open("ab") as output:
            process = subprocess.Popen(
                dying_with_parent(command, signal.SIGKILL),
                env=dict(self.stage.environment),
                stdout=output,
                stderr=output,
                start_new_session=True,
            )
        self.running[name] = Worker(process)

    def kill(self, name: str) -> None:
        """SIGKILL; it is started again at once."""
        if (code := self.running[name].process.poll()) is not None:
            raise RuntimeError(f"{name} ended by itself, with {code}: {self.stage.said()}")
        self.running[name].kill()
        self.kills.append((name.partition("-")[0], time.time()))
        self.start(name)

    def end(self) -> None:
        """Kill all that runs."""
        for worker in self.running.values():
            if worker.process.poll() is None:  # else its number may be another's by now
                worker.kill()

    def end_beats(self) -> None:
        """SIGTERM to the beats, so that nothing new is scheduled."""
        for name in BEATS:
            os.kill(self.running[name].pid, signal.SIGTERM)
        for name in BEATS:
            self.running[name].process.wait(60)


def order_of_kills(count: int, chance: Random) -> list[str]:
    """Whom to kill, each role as often as another."""
    roles = (("worker",), STREAMS, BEATS)
    order = [chance.choice(roles[n % len(roles)]) for n in range(count)]
    chance.shuffle(order)
    return order
