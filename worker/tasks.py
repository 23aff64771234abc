"""The tasks: one thin delegate an event type. Any arguments are accepted, and refused as dead letters."""

from typing import Any

from celery import Task

from worker.celery import SCHEDULED_REFRESH, app
from worker.delivery import deliver
from worker.jobs.refresh import refresh_job, scheduled_refresh_job
from worker.jobs.reindex import reindex_job
from worker.jobs.steps import noting_refusals
from worker.plan import BACKFILL, EMBED, PURGE
from worker.products import apply_products
from worker.swap.backfill import apply_backfill
from worker.swap.rollback import drop_old_job, rollback_job


@app.task(name="products.upsert", bind=True, typing=False)
def upsert(task: Task, /, *args: Any, **kwargs: Any) -> None:
    """Whole products."""
    deliver(task, args, kwargs, apply_products)


@app.task(name="products.patch", bind=True, typing=False)
def patch(task: Task, /, *args: Any, **kwargs: Any) -> None:
    """Payload fields that changed."""
    deliver(task, args, kwargs, apply_products)


@app.task(name="products.delete", bind=True, typing=False)
def delete(task: Task, /, *args: Any, **kwargs: Any) -> None:
    """Products that are gone."""
    deliver(task, args, kwargs, apply_products)


@app.task(name=EMBED, bind=True, typing=False)
def embed(task: Task, /, *args: Any, **kwargs: Any) -> None:
    """Products to embed again from what the index knows of them."""
    deliver(task, args, kwargs, apply_products)


@app.task(name=BACKFILL, bind=True, typing=False)
def backfill(task: Task, /, *args: Any, **kwargs: Any) -> None:
    """Products that a model swap brings into its new index."""
    deliver(task, args, kwargs, apply_backfill)


@app.task(name=PURGE, bind=True, typing=False)
def purge(task: Task, /, *args: Any, **kwargs: Any) -> None:
    """Tombstones to forget."""
    deliver(task, args, kwargs, apply_products)


@app.task(name="catalog.refresh", bind=True, typing=False)
def refresh(task: Task, /, *args: Any, **kwargs: Any) -> None:
    """A feed to publish."""
    deliver(task, args, kwargs, noting_refusals(refresh_job))


@app.task(name=SCHEDULED_REFRESH, bind=True, typing=False)
def scheduled_refresh(task: Task, /, *args: Any, **kwargs: Any) -> None:
    """The feed of the settings, once a period."""
    deliver(task, args, kwargs, scheduled_refresh_job)


@app.task(name="catalog.reindex", bind=True, typing=False)
def reindex(task: Task, /, *args: Any, **kwargs: Any) -> None:
    """Products to publish for embedding again, or a model swap."""
    deliver(task, args, kwargs, noting_refusals(reindex_job))


@app.task(name="catalog.rollback", bind=True, typing=False)
def rollback(task: Task, /, *args: Any, **kwargs: Any) -> None:
    """The collection before the swap is to serve again."""
    deliver(task, args, kwargs, noting_refusals(rollback_job))


@app.task(name="catalog.drop_old", bind=True, typing=False)
def drop_old(task: Task, /, *args: Any, **kwargs: Any) -> None:
    """The collection that does not serve is to go."""
    deliver(task, args, kwargs, noting_refusals(drop_old_job))
