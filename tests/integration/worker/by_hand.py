"""Messages of catalog jobs, delivered one at a time and by hand."""

import base64
import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from celery import Celery, Task

from worker.delivery import Delivery, deliver
from worker.publish import ATTEMPTS, CHAIN, CURSOR, DELIVERIES, FAILURES
from worker.runtime import Runtime

CARRIED = (CURSOR, CHAIN, ATTEMPTS, FAILURES, DELIVERIES)


@dataclass
class Jobs:
    """A worker's threads, one at a time and by hand."""

    app: Celery
    tasks: dict[str, Task]
    runtime: Runtime
    bodies: Mapping[str, Callable[[Delivery], None]]
    tags: Iterator[int] = field(default_factory=lambda: iter(range(10**6)))

    def run(
        self,
        name: str,
        identity: str = "job",
        headers: dict[str, Any] | None = None,
        *,
        args: Sequence[Any] = (),
        killed: bool = False,
        **kwargs: Any,
    ) -> None:
        """Deliver a message to the body of its task; acknowledge it, unless its worker is killed first."""
        task = self.tasks[name]
        ours = {header: (headers or {}).get(header) for header in CARRIED}
        tag = self.take(str(next(self.tags)))
        properties = {"delivery_tag": tag}
        delivery_info = {"routing_key": "catalog"}
        task.push_request(id=identity, delivery_info=delivery_info, properties=properties, **ours)
        try:
            deliver(task, args, kwargs, self.bodies[name])
        finally:
            task.pop_request()
        if not killed:
            self.runtime.redis.hdel("unacked", tag)

    def take(self, tag: str) -> str:
        """Record a message as in hand, as the transport does."""
        self.runtime.redis.hset("unacked", tag, "the message")
        return tag

    def run_next(self, *, killed: bool = False) -> dict[str, Any]:
        """Take the oldest message of `catalog` and run it; returns it."""
        (message, *_) = self.queued("catalog")
        self.runtime.redis.rpop("catalog")
        self.run_again(message, killed=killed)
        return message

    def run_again(self, message: dict[str, Any], *, killed: bool = False) -> None:
        """Deliver a message once more."""
        headers = message["headers"]
        self.run(headers["task"], headers["id"], headers, killed=killed, **message["kwargs"])

    def run_all(self) -> int:
        """Until nothing is left to do; returns the number of steps."""
        steps_done = 0
        while self.queued("catalog"):
            self.run_next()
            steps_done += 1
        return steps_done

    def apply_all(self) -> None:
        """Handle what is in `bulk`, the oldest first, until nothing is."""
        while waiting := self.queued("bulk"):
            for message in waiting:
                self.runtime.redis.rpop("bulk")
                self.run(message["headers"]["task"], message["headers"]["id"], args=message["args"])

    def queued(self, queue: str) -> list[dict[str, Any]]:
        """The messages of a queue, oldest first."""
        raw: Any = self.runtime.redis.lrange(queue, 0, -1)
        messages = [json.loads(text) for text in reversed(raw)]
        for message in messages:
            message["args"], message["kwargs"], _ = json.loads(base64.b64decode(message["body"]))
        return messages

    def published(self) -> list[list[str]]:
        """The ids of the documents in `bulk`, message by message."""
        return [[document["id"] for document in message["args"][0]] for message in self.queued("bulk")]
