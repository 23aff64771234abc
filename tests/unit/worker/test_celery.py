import subprocess
import sys

import pytest

from config.settings import PREFIX
from recommender.events import EVENT_TYPES
from worker import tasks
from worker.celery import BULK, QUEUES, ROUTES, configuration


def test_importing_it_reads_no_setting_and_connects_to_nothing() -> None:
    code = (
        f"import os; os.environ['{PREFIX}NONSENSE'] = '1'; import worker.celery, worker.tasks, worker.stream"
    )
    subprocess.run([sys.executable, "-c", code], check=True)  # noqa: S603


def test_every_event_type_is_a_task_with_a_queue(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(f"{PREFIX}REDIS__URL", "redis://127.0.0.1:1/0")
    assert {*EVENT_TYPES} <= ROUTES.keys() <= tasks.app.tasks.keys()
    assert set(ROUTES.values()) <= set(QUEUES)
    assert ROUTES["products.embed"] == BULK


@pytest.mark.parametrize(("scheduled", "entries"), [(None, 0), ("s3://shop/feed", 1)])
def test_the_schedule_is_that_of_the_settings(
    monkeypatch: pytest.MonkeyPatch, scheduled: str | None, entries: int
) -> None:
    monkeypatch.setenv(f"{PREFIX}REDIS__URL", "redis://127.0.0.1:1/0")
    monkeypatch.setenv(f"{PREFIX}FEED__ALLOWED", '["s3://shop/"]')
    if scheduled:
        monkeypatch.setenv(f"{PREFIX}FEED__SCHEDULED", scheduled)
    schedule = configuration()["beat_schedule"]
    assert len(schedule) == entries
    for entry in schedule.values():
        assert entry["schedule"] == 3600 / 2
        assert "options" not in entry  # one that expires could take its slot with it
