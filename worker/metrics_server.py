"""`/metrics` of a process that serves nothing else."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager

from prometheus_client import start_http_server

from config.settings import Settings
from recommender.errors import StartupError

log = logging.getLogger(__name__)


@contextmanager
def metrics_served(settings: Settings) -> Iterator[None]:
    """Serve `/metrics` at the API's address on a port of its own, if the settings name one.

    Raises:
        StartupError: the address can't be listened on.
    """
    port, host = settings.worker.metrics_port, settings.api.host
    if port is None:
        yield
        return
    try:
        server, thread = start_http_server(port, host)
    except OSError as error:
        raise StartupError(f"can't serve metrics on {host} port {port}: {error.strerror}") from error
    log.info("metrics_listening", extra={"host": host, "port": server.server_port})
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()
