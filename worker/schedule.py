"""Celery beat: its scheduler, and the thread of the worker that runs it for `lookalike up`."""

from pathlib import Path
from typing import Any

from celery.beat import PersistentScheduler, Service


class Scheduler(PersistentScheduler):
    """Celery's own, except that it makes the folder of its file: beat may be the first process to start."""

    def setup_schedule(self) -> None:
        """Open the file."""
        Path(self.schedule_filename).parent.mkdir(parents=True, exist_ok=True)
        super().setup_schedule()


class Schedule:
    """Beat with its own file. Wakes once a second, so that it can be stopped."""

    def __init__(self, app: Any) -> None:
        app.conf.beat_max_loop_interval = 1
        self._service = Service(app, scheduler_cls=app.conf.beat_scheduler)

    def run(self) -> None:
        """Tick until `stop`."""
        self._service.start()

    def stop(self) -> None:
        """End after the current tick."""
        self._service.stop()
