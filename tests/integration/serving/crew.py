"""A worker's threads, one message at a time and by hand, so that it can be killed between any two things."""

import base64
import json
import random
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from typing import Any

from celery import Celery, Task

from config.settings import Settings
from recommender.events import parse_product_event
from recommender.merge import UNKNOWN, ProductState, merge
from recommender.resources import Resources
from recommender.swap_state import SwapBook
from tests.integration.worker.conftest import opened_runtime
from worker.breaker import Breakers
from worker.delivery import Delivery, deliver
from worker.jobs.book import JobBook, JobRecord
from worker.jobs.reindex import reindex_job
from worker.pipelines import Pipelines
from worker.plan import BACKFILL, EMBED
from worker.products import apply_products
from worker.publish import ATTEMPTS, CHAIN, CURSOR, event_message, publish
from worker.runtime import Runtime
from worker.swap.backfill import apply_backfill
from worker.swap.rollback import drop_old_job, rollback_job

BODIES: dict[str, Callable[[Delivery], None]] = {
    "products.upsert": apply_products,
    "products.patch": apply_products,
    "products.delete": apply_products,
    EMBED: apply_products,
    BACKFILL: apply_backfill,
    "catalog.reindex": reindex_job,
    "catalog.rollback": rollback_job,
    "catalog.drop_old": drop_old_job,
}
QUEUES = ("products", "bulk", "quarantine")


@dataclass
class Crew:
    """One worker process. `catalog` messages are run by `step`, all others by `work`."""

    app: Celery
    runtime: Runtime
    tags: Iterator[int] = field(default_factory=count)

    def __post_init__(self) -> None:
        self._tasks: dict[str, Task] = {
            name: self.app.task(name=name, bind=True, shared=False)(_nothing) for name in BODIES
        }

    def send(self, event_type: str, data: Any) -> None:
        """Publish an event."""
        publish(
            self.app, event_message(event_type, data, "catalog" if "catalog" in event_type else "products")
        )

    def work(self) -> int:
        """Run whatever is there but catalog jobs; returns how many messages that were."""
        done = 0
        while message := next(filter(None, map(self.take, QUEUES)), None):
            self.run(message)
            done += 1
        return done

    def step(self, *, loses_record: bool = False) -> bool:
        """Run the next message of `catalog`, if there is one.

        `loses_record`: its worker is killed when all is done and nothing of it written down; the message
        comes again.
        """
        message = self.take("catalog")
        if message is None:
            return False
        if loses_record and (job := self.job()) is not None:
            key = f"{self.runtime.settings.catalog}:job:{job.id}"
            before: Any = self.runtime.redis.hgetall(key)
            self.run(message)
            if self.job() is not None:  # else it had come to its end
                self.runtime.redis.delete(key, "catalog")
                self.runtime.redis.hset(key, mapping=before)
                self.run(message)
        else:
            self.run(message)
        return True

    def finish(self, **options: Any) -> JobRecord:
        """Run everything until no job is left; returns the job that ended last."""
        for _ in range(3000):
            self.work()
            if not self.step(**options) and not self.work():
                return self.runtime.jobs.list()[0]
        raise AssertionError(f"it does not end: {self.runtime.jobs.list()[0]}")

    def job(self) -> JobRecord | None:
        """The job that is open."""
        return next((job for job in self.runtime.jobs.list() if job.is_open), None)

    def take(self, queue: str) -> dict[str, Any] | None:
        """Take the oldest message of a queue."""
        text: Any = self.runtime.redis.rpop(queue)
        if text is None:
            return None
        message: dict[str, Any] = json.loads(text)
        message["args"], message["kwargs"], _ = json.loads(base64.b64decode(message["body"]))
        return message

    def run(self, message: dict[str, Any]) -> None:
        """Deliver a message to the body of its task."""
        headers = message["headers"]
        task = self._tasks[headers["task"]]
        ours = {name: headers.get(name) for name in (CURSOR, CHAIN, ATTEMPTS)}
        tag = str(next(self.tags))
        self.runtime.redis.hset("unacked", tag, "the message")
        info = {"routing_key": message["properties"]["delivery_info"]["routing_key"]}
        task.push_request(id=headers["id"], delivery_info=info, properties={"delivery_tag": tag}, **ours)
        try:
            deliver(task, message["args"], message["kwargs"], BODIES[headers["task"]])
        finally:
            task.pop_request()
        self.runtime.redis.hdel("unacked", tag)


@contextmanager
def crew_of(settings: Settings, client: Any, resources: Resources) -> Iterator[Crew]:
    """A worker that has these resources."""
    parts = {
        "resources": resources,
        "pipelines": Pipelines(resources.source, settings, Breakers()),
        "jobs": JobBook(client, settings.catalog),
        "swaps": SwapBook(client, settings.catalog),
    }
    app = Celery("crew", broker=settings.redis_url, set_as_current=False)
    app.conf.task_ignore_result = True
    with opened_runtime(settings, client, **parts) as runtime:
        yield Crew(app, runtime)
    app.close()


def _nothing(_: Task) -> None:
    """Only the task's request is used."""


@dataclass
class Traffic:
    """Events over some products, in no order, now and then twice; and what they leave, by an oracle."""

    uris: list[str]
    seed: int = 0
    products: int = 12
    sent: list[tuple[str, dict[str, Any]]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._chance = random.Random(self.seed)  # noqa: S311  # chance without secrets
        self._late: list[tuple[str, dict[str, Any]]] = []

    def some(self, number: int = 3) -> list[tuple[str, dict[str, Any]]]:
        """Some events, of which those made first are not those given first."""
        self._late += [self._event() for _ in range(number)]
        self._chance.shuffle(self._late)
        given = [self._late.pop() for _ in range(min(number, len(self._late)))]
        return given + ([self._chance.choice(self.sent)] if self.sent else [])

    def rest(self) -> list[tuple[str, dict[str, Any]]]:
        """Those that are late."""
        late, self._late = self._late, []
        return late

    def expected(self) -> dict[str, ProductState]:
        """The states that all events leave, whatever came when."""
        states: dict[str, ProductState] = {}
        for kind, document in self.sent:
            event = parse_product_event(kind, document)
            states[event.id] = merge(states.get(event.id, UNKNOWN), event)
        return states

    def _event(self) -> tuple[str, dict[str, Any]]:
        chance = self._chance
        said: dict[str, Any] = {"id": f"p{chance.randrange(self.products)}", "version": chance.randrange(40)}
        kind = chance.choices(("products.upsert", "products.patch", "products.delete"), (5, 4, 1))[0]
        if kind == "products.upsert":
            images = chance.sample(self.uris, chance.randint(1, 2))
            said |= {"images": images, "category": chance.choice(("a", "b/c")), "price": chance.randint(1, 9)}
        elif kind == "products.patch":
            said |= {"title": f"title {chance.randrange(9)}", "attributes": {"colour": chance.choice("xyz")}}
        self.sent.append((kind, said))
        return kind, said
