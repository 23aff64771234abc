"""The watchdog's decisions in this process, and its bite in one of its own."""

import subprocess
import sys
from threading import Event

from worker.watchdog import EXIT_CODE, Watchdog

WITHIN_S = 30


def test_a_message_without_progress_ends_the_process() -> None:
    bitten = Event()
    codes = []

    def end(code: int) -> None:
        codes.append(code)
        bitten.set()

    with Watchdog(0.01, 60, end) as watchdog, watchdog.watch("products.upsert 1"):
        assert bitten.wait(WITHIN_S)
    assert set(codes) == {EXIT_CODE}


def test_progress_and_what_has_ended_are_left_alone() -> None:
    looked = Event()
    bites = []

    class Looking(Watchdog):
        def _look(self, now: float) -> None:
            super()._look(now)
            looked.set()

    with Looking(60, 60, bites.append) as watchdog:
        with watchdog.watch("ended"):
            pass
        with watchdog.watch("in hand") as watch:
            watch.progress_at -= 120
            watch.progress()
            looked.clear()
            assert looked.wait(WITHIN_S)
    assert bites == []


def test_a_shutdown_that_takes_longer_than_its_grace_ends_the_process() -> None:
    bitten = Event()
    with Watchdog(60, 0.01, lambda _: bitten.set()) as watchdog:
        assert not watchdog.is_shutting_down
        watchdog.shut_down()
        assert watchdog.is_shutting_down
        assert bitten.wait(WITHIN_S)


def run(body: str) -> "subprocess.CompletedProcess[str]":
    code = "import time, re\nfrom worker.watchdog import Watchdog\n" + body
    command = [sys.executable, "-c", code]
    return subprocess.run(command, capture_output=True, text=True, timeout=WITHIN_S, check=False)  # noqa: S603


def test_it_really_ends_the_process_and_says_where_its_threads_were() -> None:
    done = run("with Watchdog(1, 60) as dog, dog.watch('m'):\n    time.sleep(60)")
    assert done.returncode == EXIT_CODE
    assert "time.sleep" in done.stderr or "<string>" in done.stderr


def test_a_thread_that_keeps_the_interpreters_lock_can_not_keep_the_process() -> None:
    wedge = "re.match(r'(a+)+$', 'a' * 40 + 'b')"  # one long call that never lets go
    done = run(f"with Watchdog(2, 60) as dog, dog.watch('m'):\n    time.sleep(1.2)\n    {wedge}")
    assert done.returncode == 1
    assert "Timeout" in done.stderr
