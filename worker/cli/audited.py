"""What `lookalike audit` works with, and how it tells of what it found."""

from collections.abc import Iterator, Mapping
from contextlib import ExitStack, contextmanager
from typing import Any

from config.settings import Settings, load_settings
from recommender.errors import ProductNotFound, QueryError, TransientError
from recommender.images.source import ImageSource
from worker.audit.page import Pictures
from worker.audit.repair import Repair
from worker.audit.report import Report
from worker.audit.run import Means
from worker.cli.broker import celery_app, load_settings_with_broker
from worker.cli.gathering import ask_patiently, gather
from worker.cli.output import print_lines, print_table
from worker.cli.query import Api
from worker.progress import progress, say

THUMBNAIL_PX = 160
_TRIES = 2
"""Pictures of one product that are asked for, at most, until one can be shown."""


@contextmanager
def open_means(api: Api, settings: Settings, *, repairs: bool) -> Iterator[Means]:
    """What an audit works with; a broker only for repairs."""
    with ExitStack() as stack:
        source = ImageSource(settings.s3, settings.images)
        stack.callback(source.close)
        repair = None
        if repairs:
            from worker.broker import open_redis  # noqa: PLC0415

            app = celery_app()
            client = stack.enter_context(open_redis(settings.redis))
            repair = Repair(app, client, settings, say)
        yield Means(
            settings=settings,
            ask=lambda path, parameters: ask_patiently(api, path, parameters),
            gather=lambda: gather(api, {}),
            source=source,
            progress=progress,
            repair=repair,
        )
