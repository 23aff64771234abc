"""Celery beat on a thread of the worker, for `lookalike up`."""

from typing import Any

from celery.beat import Service


class Schedule:
    """Stock beat with its own file. Wakes once a second, so that it can be stopped."""

    def __init__(self, app: Any) -> None:
        app.conf.beat_max_loop_interval = 1
        self._service = Service(app)

    def run(self) -> None:
        """Tick until `stop`."""
        self._service.start()

    def stop(self) -> None:
        """End after the current tick."""
        self._service.stop()
