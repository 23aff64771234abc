"""`python -m tests.benchmarks.swap`: a model swap while a shop asks and publishes; were all answers right?

A catalog of drawn pictures is embedded by `compact`, and swapped to `compact-128`, under steady questions and
events. Prints how many answers failed or were wrong, how many events were lost in either collection, what
live events took before and meanwhile, and what each phase took; writes docs/benchmarks-swap.md.
"""

import argparse
import itertools
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

import httpx
import redis
from celery import Celery

from config.settings import EncoderSettings, IndexSettings, Settings
from recommender.index.open import open_engine
from tests.benchmarks import machine
from tests.benchmarks.stack import environment_of
from tests.benchmarks.store import running_store
from tests.benchmarks.swap_pictures import write_pictures
from tests.benchmarks.swap_traffic import NEW_IMAGES, Catalog, Publisher, Sent, Shoppers
from tests.benchmarks.swap_verdict import Judge, embed, lost, percentile
from worker.jobs.book import JobBook, JobRecord
from worker.up import Stack, running_stack

PAGE = Path(__file__).parents[2] / "docs" / "benchmarks-swap.md"
OLD, NEW = "compact", "compact-128"
GIVE_UP_S = 4 * 3600


def main() -> int:
    """Run it; 1 where an answer was wrong or an event lost."""
    parser = argparse.ArgumentParser(prog="python -m tests.benchmarks.swap", description=__doc__)
    parser.add_argument("--products", type=int, default=20_000)
    parser.add_argument("--queries-per-s", type=float, default=20)
    parser.add_argument("--events-per-s", type=float, default=50)
    parser.add_argument("--before-s", type=float, default=60, help="of the same load before the swap")
    parser.add_argument("--after-s", type=float, default=20, help="of the same load after it")
    parser.add_argument("--page", type=Path, default=PAGE, help="where the results are written")
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="lookalike-swap-") as name:
        folder = Path(name)
        seconds = asked.before_s + asked.after_s + 60 + asked.products / 10
        pictures = asked.products + int(asked.events_per_s * NEW_IMAGES * seconds) + 1
        say(f"drawing {pictures} pictures")
        write_pictures(folder / "root", pictures)
        run = _run(asked, folder, pictures)
        text = _judged(asked, folder, run, pictures)
    asked.page.write_text(text)
    print(text)
    return 0 if run.is_good else 1


@dataclass
class Run:
    """What happened."""

    catalog: Catalog
    shoppers: Shoppers
    job: JobRecord
    began_at: float
    swap_began_at: float
    swap_ended_at: float
    acknowledged: dict[str, float]
    dead_letters: int
    is_good: bool = False


def _run(asked: argparse.Namespace, folder: Path, pictures: int) -> Run:
    data_dir = folder / "data"
    data_dir.mkdir()
    catalog = Catalog(asked.products, pictures)
    with _stack(folder, data_dir) as (stack, producer):
        say("indexing the catalog")
        _fill(stack, producer, catalog, asked.products)
        publisher = Publisher(producer, catalog, asked.events_per_s)
        shoppers = Shoppers(stack.api_url, stack.api_key, asked.products, asked.queries_per_s)
        began_at = time.time()
        publisher.start()
        shoppers.start()
        say("the load before")
        time.sleep(asked.before_s)
        say("the swap")
        swap_began_at = time.time()
        job = _swap(stack, producer)
        swap_ended_at = time.time()
        time.sleep(asked.after_s)
        shoppers.end()
        publisher.end()
        dead_letters = _drain(stack)
        time.sleep(3)
    return Run(
        catalog,
        shoppers,
        job,
        began_at,
        swap_began_at,
        swap_ended_at,
        _acknowledged(data_dir / "up.log"),
        dead_letters,
    )


@contextmanager
def _stack(folder: Path, data_dir: Path) -> Iterator[tuple[Stack, Celery]]:
    with running_store(folder / "root", folder / "store") as store:
        encoder = {"encoder": OLD, "weights": ""}
        environment = environment_of(encoder, store.endpoint_url, data_dir)
        with running_stack(environment, data_dir) as stack:
            producer = Celery("shop", broker=stack.redis_url, set_as_current=False)
            yield stack, producer
            producer.close()


def _fill(stack: Stack, producer: Celery, catalog: Catalog, products: int) -> None:
    documents = catalog.first()
    while message := list(itertools.islice(documents, 256)):
        sent = producer.send_task("products.upsert", args=[message], queue="products")
        for document in message:
            catalog.note(Sent(str(sent.id), "products.upsert", document, time.time()))
    with httpx.Client(base_url=stack.api_url, headers={"X-API-Key": stack.api_key}, timeout=60) as api:
        _wait("the catalog is indexed", lambda: _searchable(api) == products, every_s=1)


def _searchable(api: httpx.Client) -> int:
    found: dict[str, int] = api.get("/v1/categories").raise_for_status().json()["categories"]
    return found.get("bench", 0)


def _swap(stack: Stack, producer: Celery) -> JobRecord:
    producer.send_task("catalog.reindex", kwargs={"encoder": NEW}, queue="catalog")
    with redis.Redis.from_url(stack.redis_url, decode_responses=True) as client:
        book = JobBook(client, "lookalike")
        said = ""

        def ended() -> JobRecord | None:
            nonlocal said
            jobs = [one for one in book.list() if one.type == "catalog.reindex"]
            if jobs and (line := f"{jobs[0].phase} {jobs[0].done} of {jobs[0].total}") != said:
                said = line
                say(f"  {line}")
            return next((one for one in jobs if not one.is_open), None)

        found = _wait("the swap ends", ended, every_s=2)
    assert isinstance(found, JobRecord)
    return found


def _drain(stack: Stack) -> int:
    """Wait until nothing is queued or in hand; returns the number of dead letters."""
    with redis.Redis.from_url(stack.redis_url) as client:
        queues = ("products", "bulk", "catalog", "quarantine")
        _wait(
            "all is done", lambda: not sum(map(client.llen, queues)) and not client.hlen("unacked"), every_s=1
        )
        return int(client.xlen("lookalike:dead-letters"))


def _acknowledged(log: Path) -> dict[str, float]:
    """When each message was applied in every collection, by its id, from the worker's own lines."""
    found = {}
    for text in log.read_bytes().splitlines():
        if text.startswith(b"{") and b'"message_applied"' in text:
            line = json.loads(text)
            found[line["id"]] = datetime.fromisoformat(line["time"]).timestamp()
    return found


def _judged(asked: argparse.Namespace, folder: Path, run: Run, pictures: int) -> str:
    say("embedding every picture here, and checking the answers")
    rows = dict(
        embed(EncoderSettings(name=name, graphs=folder / "graphs"), folder / "root", pictures)
        for name in (OLD, NEW)
    )
    judge = Judge(run.catalog, run.acknowledged, rows)
    wrong = [problem for one in run.shoppers.asked if (problem := judge.wrong(one))]
    settings = Settings(
        _env_file=None,
        data_dir=folder / "data",
        index=IndexSettings(url=f"edge:{folder / 'data' / 'index'}"),
    )
    missing = {}
    engine = open_engine(settings)
    for fingerprint in rows:
        missing[fingerprint] = lost(engine.open(fingerprint), run.catalog)
    serving = engine.serving()
    engine.close()
    run.is_good = (
        run.job.state == "done"
        and not (wrong or run.shoppers.errors or run.dead_letters)
        and not any(missing.values())
    )
    for problem in (*wrong[:10], *run.shoppers.errors[:10], *(m for ms in missing.values() for m in ms[:10])):
        say(f"  {problem}")
    return _page(asked, run, wrong, missing, str(serving))


def _page(
    asked: argparse.Namespace, run: Run, wrong: list[str], missing: dict[str, list[str]], serving: str
) -> str:
    events = [one for sent in run.catalog.events.values() for one in sent if one.at >= run.began_at]
    spans = {
        "before": (run.began_at, run.swap_began_at),
        "during": (run.swap_began_at, run.swap_ended_at),
        "after": (run.swap_ended_at, float("inf")),
    }
    lines = [
        "# Benchmark of a model swap",
        "",
        f"`make bench-swap`: {asked.products:,} products with drawn pictures of at most 256 px, swapped from",
        f"`{OLD}` to `{NEW}` by one `lookalike up` (embedded index) under {asked.queries_per_s:g} queries/s",
        f"and {asked.events_per_s:g} events/s, a tenth of them with new images. The bench, its store and its",
        "clients share the machine's cores with what they measure.",
        "",
        f"Machine: {machine.describe()['processor']}, {machine.cores()} cores.",
        f"The job ended as `{run.job.state}`{_because(run.job)}; `{serving}` serves.",
        "",
        "| | |",
        "|---|---|",
        f"| queries, all checked | {len(run.shoppers.asked) + len(run.shoppers.errors):,} |",
        f"| failed | {len(run.shoppers.errors)} |",
        f"| wrong | {len(wrong)} |",
        f"| answered by each encoder | {_by_encoder(run)} |",
        f"| events | {len(events):,} |",
        *(f"| lost in `{name}` | {len(found)} |" for name, found in missing.items()),
        f"| dead letters | {run.dead_letters} |",
        "",
        "| | queries ms, median | p99 | events ms, published to acknowledged, median | p99 |",
        "|---|---|---|---|---|",
    ]
    for name, (begin, end) in spans.items():
        queries = [
            1000 * (one.ended_at - one.begun_at) for one in run.shoppers.asked if begin <= one.begun_at < end
        ]
        took = [
            1000 * (run.acknowledged[one.message] - one.at)
            for one in events
            if begin <= one.at < end and one.message in run.acknowledged
        ]
        cells = (
            percentile(queries, 0.5),
            percentile(queries, 0.99),
            percentile(took, 0.5),
            percentile(took, 0.99),
        )
        lines.append(f"| {name} | {' | '.join(f'{cell:.0f}' for cell in cells)} |")
    lines += ["", "| phase | s |", "|---|---|"]
    lines += [f"| {phase} | {seconds} |" for phase, seconds in run.job.report.get("seconds", {}).items()]
    report = run.job.report
    lines += [
        "",
        f"Compared product by product: {report.get('compared', 0):,}; behind at first:",
        f"{report.get('behind_at_first', 0)}; in the end: {report.get('behind', 0)}.",
        "",
        "The gate:",
        "",
        *(f"- {check['name']}: {check['detail']}" for check in report.get("gate", {}).get("checks", ())),
    ]
    return "\n".join(lines) + "\n"


def _because(job: JobRecord) -> str:
    return f" ({job.message})" if job.message else ""


def _by_encoder(run: Run) -> str:
    counts: dict[str, int] = {}
    for one in run.shoppers.asked:
        if one.status == 200:
            counts[one.answer["encoder"]] = counts.get(one.answer["encoder"], 0) + 1
    return ", ".join(f"`{name}` {count:,}" for name, count in counts.items())


def _wait(what: str, check: Any, *, every_s: float) -> Any:
    deadline = time.monotonic() + GIVE_UP_S
    while time.monotonic() < deadline:
        if found := check():
            return found
        time.sleep(every_s)
    raise RuntimeError(f"not within {GIVE_UP_S} s: {what}")


def say(text: str) -> None:
    """A line for whoever waits."""
    print(text, file=sys.stderr, flush=True)


if __name__ == "__main__":
    sys.exit(main())
