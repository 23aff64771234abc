"""The Redis Stream of events: for producers in any language. Forwards into Celery, then XACKs.

`python -m worker.stream` runs it alone.
"""

import json
import logging
import os
import signal
import socket
import sys
import time
from threading import Event
from typing import Any

import redis
from celery import Celery

from config.logging import configure_logging
from config.settings import ConfigurationError, Settings, load_settings
from recommender import metrics
from recommender.errors import (
    BrokerUnavailable,
    InvalidEvent,
    ShuttingDown,
    StartupError,
    TransientError,
)
from recommender.events import CATALOG_JOBS, EVENT_TYPES
from worker.broker import broker_errors, open_redis, wait_for_redis
from worker.celery import app as celery_app
from worker.jobs.dead_letters import DeadLetter, DeadLetters
from worker.metrics_server import metrics_served
from worker.publish import event_message, publish

log = logging.getLogger(__name__)
GROUP = "celery"
COUNT = 64
BLOCK_MS = 1000
CLAIM_IDLE_MS = 60_000
MAX_DELIVERIES = 5
UPKEEP_S = 30
FORGET_IDLE_MS = 24 * 3600 * 1000
MAX_PAUSE_S = 15

# KEYS: stream. ARGV: group, idle (ms), this consumer. Answers the names of those removed.
# One step, since removing a consumer that was given something meanwhile would lose that.
FORGET = """
local removed = {}
for _, found in ipairs(redis.call('XINFO', 'CONSUMERS', KEYS[1], ARGV[1])) do
  local consumer = {}
  for i = 1, #found, 2 do consumer[found[i]] = found[i + 1] end
  if consumer.pending == 0 and consumer.idle > tonumber(ARGV[2]) and consumer.name ~= ARGV[3] then
    redis.call('XGROUP', 'DELCONSUMER', KEYS[1], ARGV[1], consumer.name)
    removed[#removed + 1] = consumer.name
  end
end
return removed
"""

Entry = tuple[str, dict[str, str] | None]
"""An id and its fields; None for one that was deleted before it was acknowledged."""


class StreamConsumer:
    """One consumer of the group. `run` blocks its thread; `stop` may be called by another."""

    def __init__(self, app: Celery, settings: Settings) -> None:
        self._app = app
        self._url = settings.redis_url
        self._stream = f"{settings.catalog}:events"
        self._name = f"{socket.gethostname()}-{os.getpid()}"
        self._client = open_redis(settings.redis)
        self._dead_letters = DeadLetters(self._client, settings.catalog, settings.worker.dead_letters_alarm)
        self._stopping = Event()

    def run(self) -> None:
        """Forward until `stop`; while Redis is away, try again after growing pauses."""
        with self._client:
            try:
                wait_for_redis(self._client, self._url, self._stopping.wait)
            except ShuttingDown:
                return
            log.info("stream_consuming", extra={"stream": self._stream, "consumer": self._name})
            self._run()

    def _run(self) -> None:
        pause_s = 0.5
        while not self._stopping.is_set():
            try:
                with broker_errors():
                    self._consume()
            except TransientError as error:
                log.warning("stream_interrupted", extra={"error": str(error), "pause_s": pause_s})
                self._stopping.wait(pause_s)
                pause_s = min(pause_s * 2, MAX_PAUSE_S)
            else:
                pause_s = 0.5

    def stop(self) -> None:
        """End after the entries in hand."""
        self._stopping.set()

    def _consume(self) -> None:
        """Forward what this consumer was given before, then what is new, until told to stop.

        What keeps ending its consumers is a dead letter.
        """
        self._create_group()
        while mine := self._read("0", count=1):  # one by one, so that one that ends us counts alone
            self._forward_again(mine[0], self._deliveries(mine[0][0]))
        upkeep_at = 0.0
        while not self._stopping.is_set():
            if time.monotonic() >= upkeep_at:
                self._take_over()
                self._trim()
                self._forget_the_dead()
                upkeep_at = time.monotonic() + UPKEEP_S
            try:
                for entry in self._read(">", count=COUNT):
                    self._forward(entry)
            except redis.ResponseError as error:
                if "NOGROUP" not in str(error):
                    raise
                log.warning("stream_group_recreated", extra={"stream": self._stream})
                self._create_group()

    def _create_group(self) -> None:
        try:
            self._client.xgroup_create(self._stream, GROUP, id="0", mkstream=True)
        except redis.ResponseError as error:
            if "BUSYGROUP" not in str(error):
                raise

    def _read(self, start: str, count: int) -> list[Entry]:
        found: Any = self._client.xreadgroup(
            GROUP, self._name, {self._stream: start}, count=count, block=BLOCK_MS if start == ">" else None
        )
        if isinstance(found, dict):
            return [entry for pages in found.values() for page in pages for entry in page]
        return [entry for _, entries in found or [] for entry in entries]

    def _take_over(self) -> None:
        """Forward what a consumer that is gone was given: one by one, so that each counts alone."""
        start = "-"
        while not self._stopping.is_set():
            idle = self._pending(start, "+", COUNT, idle=CLAIM_IDLE_MS)
            for identity, deliveries in idle:
                claimed: Any = self._client.xclaim(self._stream, GROUP, self._name, CLAIM_IDLE_MS, [identity])
                if claimed:  # else another consumer was faster
                    self._forward_again((identity, claimed[0][1]), deliveries + 1)
            if len(idle) < COUNT:
                return
            start = f"({idle[-1][0]}"

    def _deliveries(self, identity: str) -> int:
        """How often a pending entry was delivered."""
        return sum(times for _, times in self._pending(identity, identity, 1))

    def _pending(self, first: str, last: str, count: int, idle: int | None = None) -> list[tuple[str, int]]:
        """Pending entries of all consumers, oldest first, with the number of their deliveries."""
        found: Any = self._client.xpending_range(self._stream, GROUP, first, last, count, idle=idle)
        return [(item["message_id"], item["times_delivered"]) for item in found]

    def _forward_again(self, entry: Entry, times: int) -> None:
        if times > MAX_DELIVERIES:
            self._bury(entry, InvalidEvent("", f"delivered {times} times and never finished"))
        else:
            self._forward(entry)

    def _forward(self, entry: Entry) -> None:
        identity, fields = entry
        try:
            event_type, data = parse_entry(fields or {})
            publish(self._app, event_message(event_type, data))
        except BrokerUnavailable:
            # An outage is no fault of the entry's, so this delivery does not count.
            self._client.xclaim(self._stream, GROUP, self._name, 0, [identity], retrycount=0, justid=True)
            raise
        except Exception as error:  # noqa: BLE001  # whatever it is, it would stop all entries behind this one
            self._bury(entry, error)
            return
        self._client.xack(self._stream, GROUP, identity)
        metrics.STREAM_FORWARDED.labels(event_type).inc()

    def _bury(self, entry: Entry, error: Exception) -> None:
        identity, fields = entry
        named = fields or {}
        self._dead_letters.add([DeadLetter.of(named.get("type", ""), named.get("data", ""), error)])
        self._client.xack(self._stream, GROUP, identity)
        log.warning("stream_entry_dead_lettered", extra={"entry": identity, "error": str(error)})

    def _trim(self) -> None:
        """Drop what every group is done with. By MINID: by length, pending entries would be lost."""
        done: list[tuple[int, int]] = []
        client: Any = self._client
        for group in client.xinfo_groups(self._stream):
            pending = client.xpending(self._stream, group["name"])
            oldest = pending["min"] if pending["pending"] else group["last-delivered-id"]
            milliseconds, _, sequence = oldest.partition("-")
            done.append((int(milliseconds), int(sequence)))
        if done:
            self._client.xtrim(self._stream, minid="{}-{}".format(*min(done)), approximate=False)

    def _forget_the_dead(self) -> None:
        """Remove consumers that are gone; every process makes one, and nothing else removes it."""
        removed: Any = self._client.eval(FORGET, 1, self._stream, GROUP, FORGET_IDLE_MS, self._name)
        if removed:
            log.info("stream_consumers_forgotten", extra={"consumers": removed})


def parse_entry(fields: dict[str, str]) -> tuple[str, Any]:
    """The type and the data of a stream entry.

    For a product event a list of documents, or one document; for a job an object.

    Raises:
        InvalidEvent: the type is unknown, or the data is not JSON of that shape.
    """
    event_type = fields.get("type", "")
    if event_type not in EVENT_TYPES:
        raise InvalidEvent("type", f"{event_type!r} is not one of {', '.join(EVENT_TYPES)}")
    try:
        data = json.loads(fields.get("data", ""))
    except (ValueError, RecursionError) as error:
        raise InvalidEvent("data", f"not JSON: {error}") from error
    if not isinstance(data, dict) and (event_type in CATALOG_JOBS or not isinstance(data, list)):
        expected = "an object" if event_type in CATALOG_JOBS else "a list of documents, or one"
        raise InvalidEvent("data", f"expected {expected}, got {type(data).__name__}")
    return event_type, data


def main() -> int:
    """Run one consumer until SIGTERM or SIGINT."""
    try:
        settings = load_settings()
        configure_logging(settings.log)
        consumer = StreamConsumer(celery_app, settings)
        for number in (signal.SIGTERM, signal.SIGINT):
            signal.signal(number, lambda *_: consumer.stop())
        with metrics_served(settings):
            consumer.run()
    except (ConfigurationError, StartupError) as error:
        sys.stderr.write(f"lookalike: {error}\n")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
