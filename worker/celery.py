"""The Celery app: queues, routes, schedule. Configured when first used, never at import."""

import logging
from typing import Any

from celery import Celery, signals
from kombu import Exchange, Queue

from config.logging import configure_logging
from config.redis_address import Address, read_address
from config.settings import Settings, load_settings
from worker.breaker import may_consume
from worker.claim import QUARANTINE as _QUARANTINE
from worker.in_hand import InHand

PRODUCTS, CATALOG, BULK, QUARANTINE = "products", "catalog", "bulk", _QUARANTINE
QUEUES = (PRODUCTS, CATALOG, BULK, QUARANTINE)
"""In order of precedence. `bulk` also holds the work that the system gives itself; see worker.transport."""
SCHEDULED_REFRESH = "catalog.scheduled_refresh"
ROUTES = {
    "products.upsert": PRODUCTS,
    "products.patch": PRODUCTS,
    "products.delete": PRODUCTS,
    "products.embed": BULK,
    "products.backfill": BULK,
    "products.purge": BULK,
    "catalog.refresh": CATALOG,
    "catalog.reindex": CATALOG,
    "catalog.rollback": CATALOG,
    "catalog.drop_old": CATALOG,
    SCHEDULED_REFRESH: CATALOG,
}
VISIBILITY_TIMEOUT_S = 60


def configuration() -> dict[str, Any]:
    """Celery's settings, from ours."""
    settings = load_settings()
    address = read_address(settings.redis)
    return {
        "broker_url": address.url,
        "broker_use_ssl": address.tls,
        "broker_transport": f"worker.transport:{'Sentinel' if address.master else ''}Transport",
        "broker_transport_options": _transport_options(settings, address),
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_channel_error_retry": True,
        "include": ["worker.tasks"],
        "task_queues": [Queue(name, Exchange(""), routing_key=name) for name in QUEUES],
        "task_routes": {name: {"queue": queue} for name, queue in ROUTES.items()},
        "task_default_queue": PRODUCTS,
        "task_create_missing_queues": False,
        "task_acks_late": True,
        "task_acks_on_failure_or_timeout": True,
        "task_reject_on_worker_lost": True,
        "task_ignore_result": True,
        "task_serializer": "json",
        "accept_content": ["json"],
        "worker_pool": "threads",  # the encoder is resident in one process; CUDA does not survive a fork
        "worker_consumer": "worker.consumer:Consumer",
        "worker_concurrency": settings.worker.concurrency,
        "worker_prefetch_multiplier": 1,
        "worker_eta_task_limit": 1000,
        "worker_cancel_long_running_tasks_on_connection_loss": False,
        "worker_enable_remote_control": False,
        "worker_send_task_events": False,
        "worker_hijack_root_logger": False,
        "beat_schedule": _schedule(settings),
        "beat_scheduler": "worker.schedule:Scheduler",
        "beat_schedule_filename": str(settings.data_dir / "schedule"),
    }


def _transport_options(settings: Settings, address: Address) -> dict[str, Any]:
    return {
        "visibility_timeout": VISIBILITY_TIMEOUT_S,
        "unacked_restore_interval": 5,
        "unacked_restore_throttle": 1,  # this one and the next are for kombu's own transport
        "unacked_mutex_expire": 10,
        "socket_timeout": 10,
        "socket_connect_timeout": 5,
        "socket_keepalive": True,
        "health_check_interval": 10,
        "global_keyprefix": settings.redis.key_prefix or "",
        "queue_order": QUEUES,
        "catalog": settings.catalog,
        "dead_letters_alarm": settings.worker.dead_letters_alarm,
        "may_consume": may_consume,
        "in_hand": InHand(),
        "sentinels": address.hosts,
        "master_name": address.master,
    }


def _schedule(settings: Settings) -> dict[str, Any]:
    if settings.feed.scheduled is None:
        return {}
    # Twice a period, so that every slot sees a message whatever the phase: the task claims its slot.
    return {"refresh": {"task": SCHEDULED_REFRESH, "schedule": settings.feed.every_s / 2}}


def _log(**_: Any) -> None:
    configure_logging(load_settings().log)
    for name in ("celery.worker.strategy", "celery.app.trace"):  # every message, with all its arguments
        logging.getLogger(name).setLevel(logging.WARNING)


app = Celery("lookalike")
app.add_defaults(configuration)
app.steps["worker"].add("worker.bootsteps:OpenRuntime")
signals.setup_logging.connect(_log, weak=False)
