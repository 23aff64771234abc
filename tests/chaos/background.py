"""Threads of the harness, whose errors somebody reads."""

from threading import Event as Flag
from threading import Thread
from typing import Self


class Background:
    """Works on a thread of its own as long as its context is open; what that raises is raised at the end."""

    def __init__(self) -> None:
        self.ends = Flag()
        self._thread = Thread(target=self._guarded, name=type(self).__name__, daemon=True)
        self._error: BaseException | None = None

    def work(self) -> None:
        """What the thread does, until `ends` is set."""
        raise NotImplementedError

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self.ends.set()
        self._thread.join()
        if self._error is not None:
            raise self._error

    def _guarded(self) -> None:
        try:
            self.work()
        except BaseException as error:  # noqa: BLE001  # raised again by the thread that waits
            self._error = error
