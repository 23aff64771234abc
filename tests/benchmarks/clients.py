"""Clients over HTTP: a thread and a connection each, and the next request when one is answered."""

import http.client
import itertools
import threading
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Request:
    """One request; with a body it is a POST."""

    path: str
    body: bytes | None = None
    kind: str = ""


@dataclass
class Asked:
    """What clients saw: ms a request, requests a second, and answers by status."""

    ms: list[float] = field(default_factory=list)
    seconds: float = 0.0
    statuses: Counter[int] = field(default_factory=Counter)

    @property
    def rate(self) -> float:
        return len(self.ms) / self.seconds

    @property
    def shed(self) -> int:
        """Requests that were not answered with 200."""
        return sum(count for status, count in self.statuses.items() if status != 200)


def ask(url: str, requests: Sequence[Request], *, clients: int, count: int) -> Asked:
    """Send `count` requests, in turn, from so many clients."""
    asked, turn, lock = Asked(), itertools.islice(itertools.cycle(requests), count), threading.Lock()
    threads = [threading.Thread(target=_client, args=(url, turn, asked, lock)) for _ in range(clients)]
    started = time.perf_counter()
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    asked.seconds = time.perf_counter() - started
    if len(asked.ms) != count:
        raise RuntimeError(f"{count - len(asked.ms)} of {count} requests to {url} were not answered")
    return asked


def _client(url: str, turn: Iterator[Request], asked: Asked, lock: threading.Lock) -> None:
    where = urlsplit(url)
    connection = http.client.HTTPConnection(where.hostname or "", where.port, timeout=60)
    while True:
        with lock:
            request = next(turn, None)
        if request is None:
            break
        headers = {"Content-Type": request.kind} if request.kind else {}
        started = time.perf_counter()
        connection.request("POST" if request.body else "GET", request.path, request.body, headers)
        response = connection.getresponse()
        response.read()
        took = (time.perf_counter() - started) * 1000
        with lock:
            asked.ms.append(took)
            asked.statuses[response.status] += 1
    connection.close()
