"""Listening: on a thread of a process that does other things too, or in the main thread."""

import logging
import math
import socket
import threading
import time
from concurrent.futures import Future

import uvicorn
from fastapi import FastAPI

from recommender.api.keys import KeyRing, refuse_open_listening
from recommender.errors import StartupError

log = logging.getLogger(__name__)
_START_S = 30
_GRACE_S = 1.0  # beyond the deadline by which every request in hand has an answer
_KEEP_ALIVE_S = 75  # longer than load balancers keep an idle connection, which else break on one closed here


class RunningServer:
    """A server on a thread of its own. `url` is where it answers."""

    def __init__(self, url: str, server: uvicorn.Server, ended: "Future[None]") -> None:
        self.url = url
        self._server = server
        self._grace_s = server.config.timeout_graceful_shutdown or 0
        self._ended = ended

    @property
    def alive(self) -> bool:
        """Whether it still serves."""
        return not self._ended.done()

    def stop(self) -> None:
        """Finish the requests in hand and stop; safe to call twice.

        Raises:
            BaseException: what ended the thread, if something did.
        """
        self._server.should_exit = True
        self._ended.result(self._grace_s + 5)


def serve_in_thread(app: FastAPI, host: str, port: int) -> RunningServer:
    """Serve until stopped; returns when it answers. Port 0 takes a free one.

    Raises:
        StartupError: the address can't be listened on, or other machines could ask without a key.
    """
    listener = _listen(app, host, port)
    server = uvicorn.Server(_config(app))
    ended: Future[None] = Future()
    thread = threading.Thread(target=_run, args=(server, listener, ended), name="api", daemon=True)
    thread.start()
    deadline = time.monotonic() + _START_S
    while not server.started:
        if ended.done():
            ended.result()
        if time.monotonic() > deadline:
            server.should_exit = True
            raise StartupError(f"the API did not start within {_START_S} s")
        time.sleep(0.01)
    running = RunningServer(_url(listener), server, ended)
    log.info("api_listening", extra={"url": running.url})
    return running


def serve_in_main_thread(app: FastAPI, host: str, port: int) -> None:
    """Serve until SIGTERM or SIGINT; requests in hand are finished first.

    Raises:
        StartupError: as above.
    """
    listener = _listen(app, host, port)
    log.info("api_listening", extra={"url": _url(listener)})
    uvicorn.Server(_config(app)).run(sockets=[listener])


def _run(server: uvicorn.Server, listener: socket.socket, ended: "Future[None]") -> None:
    try:
        server.run(sockets=[listener])
    except BaseException as error:  # SystemExit too: whoever waits gets it
        log.exception("api_ended")
        ended.set_exception(error)
    else:
        ended.set_result(None)
    finally:
        listener.close()


def _config(app: FastAPI) -> uvicorn.Config:
    deadline_s: float = app.state.settings.api.deadline_s
    return uvicorn.Config(
        app,
        log_config=None,
        access_log=False,
        lifespan="on",
        timeout_keep_alive=_KEEP_ALIVE_S,
        timeout_graceful_shutdown=math.ceil(deadline_s + _GRACE_S),
    )


def _listen(app: FastAPI, host: str, port: int) -> socket.socket:
    keys: KeyRing = app.state.keys
    refuse_open_listening(keys, host)
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        listener = socket.create_server((host, port), family=family, backlog=2048)
    except OSError as error:
        raise StartupError(f"can't listen on {host} port {port}: {error.strerror}") from error
    # asyncio does so only for sockets that it made itself. Without it an answer's body waits for the client
    # to acknowledge the headers: 40 ms on a connection that is kept.
    listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return listener


def _url(listener: socket.socket) -> str:
    """Where this machine reaches it: an address for all interfaces is no address to ask."""
    host, port = listener.getsockname()[:2]
    host = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)  # noqa: S104  # compared, not listened on
    return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"
