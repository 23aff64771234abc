"""Which broker and which settings a command works with."""

import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from celery import Celery

    from config.settings import Settings
    from worker.jobs.book import JobBook
    from worker.jobs.dead_letters import DeadLetters


def load_settings_with_broker() -> "Settings":
    """The settings; without a Redis named, that of the `lookalike up` that runs with this `DATA_DIR`.

    Raises:
        ConfigurationError: there is neither.
    """
    from config.settings import PREFIX, ConfigurationError, load_settings  # noqa: PLC0415
    from worker.owner import find_owner  # noqa: PLC0415

    settings = load_settings()
    if settings.redis.url is not None:
        return settings
    owner = find_owner(settings.data_dir)
    if owner is None:
        raise ConfigurationError(
            f"no broker: {PREFIX}REDIS__URL is not set, and no `lookalike up` runs in {settings.data_dir}"
        )
    os.environ[f"{PREFIX}REDIS__URL"] = owner.redis_url  # Celery's app reads it from there as well
    return load_settings()


def celery_app() -> "Celery":
    """The app, to publish with."""
    load_settings_with_broker()
    from worker.celery import app  # noqa: PLC0415

    return app


def open_dead_letters() -> "DeadLetters":
    """The dead letters of the configured catalog."""
    settings = load_settings_with_broker()
    from worker.broker import open_redis  # noqa: PLC0415
    from worker.jobs.dead_letters import DeadLetters  # noqa: PLC0415

    return DeadLetters(open_redis(settings.redis), settings.catalog)


def open_job_book() -> "JobBook":
    """The job book of the configured catalog."""
    settings = load_settings_with_broker()
    from worker.broker import open_redis  # noqa: PLC0415
    from worker.jobs.book import JobBook  # noqa: PLC0415

    return JobBook(open_redis(settings.redis), settings.catalog, settings.redis.key_prefix or "")
