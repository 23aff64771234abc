"""The Redis transport, except that taking a message and recording that it is in hand are one step.

kombu takes with BRPOP and records later (`QoS.append`): a worker killed in between loses the message.
Here one Lua script takes, checks, counts and records, into kombu's own keys; producers, and going back
to kombu's transport, are not affected. Beside it:

- what is in hand is leased: its time is renewed, so that the visibility timeout can be short;
- what kept ending its workers waits in `quarantine`, is run alone, and is a dead letter in the end;
- what is no Celery message is a dead letter at once;
- the first queue of `queue_order` comes first, and the others never take all hands.

It leans on private names of kombu 5.7, which tests/unit/worker/test_transport.py holds.
"""

import logging
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, datetime
from queue import Empty
from time import monotonic, sleep, time
from typing import Any

from kombu.transport import redis as stock
from kombu.transport import virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads

from worker.jobs.dead_letters import stream_name

log = logging.getLogger(__name__)
POLL_S = 0.02
LEASE_AT_MOST_S = 1800
"""A thread that hangs gives its message up; longer than any task's waits add up to."""
QUARANTINE = "quarantine"

# KEYS: unacked index, unacked, deliveries, dead letters, quarantine, quarantine's holder, queues ...
# ARGV: now (s), now (ISO), deliveries at most, deliveries before quarantine, visibility timeout (s),
#       may quarantine be consumed; then a queue name for each queue.
# Answers {number of the queue, message, its tag}, or nil.
CLAIM = """
local index, unacked, deliveries, dead, quarantine, holder = unpack(KEYS, 1, 6)
local now, now_iso, limit, suspect = ARGV[1], ARGV[2], tonumber(ARGV[3]), tonumber(ARGV[4])
local function bury(m, kind, attempts, reason, why)
  redis.call('XADD', dead, '*', 'type', kind, 'document', m, 'reason', reason, 'message', why, 'image', '',
             'attempts', attempts, 'first_seen', now_iso, 'last_seen', now_iso, 'trace_id', '')
end
local function tag_of(m)
  local ok, d = pcall(cjson.decode, m)
  if not ok or type(d) ~= 'table' then return nil, 'not a JSON object' end
  local p = d.properties
  if type(p) ~= 'table' then return nil, 'properties is missing' end
  if type(p.delivery_tag) ~= 'string' then return nil, 'properties.delivery_tag is missing' end
  if type(p.delivery_info) ~= 'table' then return nil, 'properties.delivery_info is missing' end
  if type(d.headers) ~= 'table' then return nil, 'headers is missing' end
  if type(d.body) ~= 'string' then return nil, 'body is missing' end
  return p.delivery_tag, type(d.headers.task) == 'string' and d.headers.task or ''
end
for i = 7, #KEYS do
  local alone = KEYS[i] == quarantine
  if not alone or redis.call('EXISTS', holder) == 0 then
    for _ = 1, 50 do
      local m = redis.call('RPOP', KEYS[i])
      if not m then break end
      local tag, kind = tag_of(m)
      if not tag then
        bury(m, '', 1, 'MalformedMessage', kind)
      else
        local before = tonumber(redis.call('HGET', deliveries, tag) or 0)
        if before >= limit then
          redis.call('HDEL', deliveries, tag)
          bury(m, kind, before, 'DeliveredTooOften', 'its workers ended before they could finish it')
        elseif before >= suspect and not alone and ARGV[6] == '1' then
          redis.call('LPUSH', quarantine, m)
        else
          redis.call('HINCRBY', deliveries, tag, 1)
          redis.call('ZADD', index, now, tag)
          redis.call('HSET', unacked, tag, '[' .. m .. ',"",' .. cjson.encode(ARGV[i]) .. ']')
          if alone then redis.call('SET', holder, tag, 'EX', ARGV[5]) end
          return {i - 7, m, tag}
        end
      end
    end
  end
end
return nil
"""

# KEYS: unacked index, unacked, deliveries, quarantine's holder. ARGV: tag.
SETTLE = """
redis.call('ZREM', KEYS[1], ARGV[1])
redis.call('HDEL', KEYS[2], ARGV[1])
redis.call('HDEL', KEYS[3], ARGV[1])
if redis.call('GET', KEYS[4]) == ARGV[1] then redis.call('DEL', KEYS[4]) end
"""

# KEYS: deliveries, quarantine's holder. ARGV: what to add to the count, tag ...
RETURN = """
for i = 2, #ARGV do
  if redis.call('HINCRBY', KEYS[1], ARGV[i], ARGV[1]) <= 0 then redis.call('HDEL', KEYS[1], ARGV[i]) end
  if redis.call('GET', KEYS[2]) == ARGV[i] then redis.call('DEL', KEYS[2]) end
end
"""

# KEYS: unacked index, quarantine's holder. ARGV: now (s), visibility timeout (s), tag ...
RENEW = """
for i = 3, #ARGV do
  redis.call('ZADD', KEYS[1], 'XX', ARGV[1], ARGV[i])
  if redis.call('GET', KEYS[2]) == ARGV[i] then redis.call('EXPIRE', KEYS[2], ARGV[2]) end
end
"""


@dataclass(frozen=True, slots=True)
class _Claim:
    queue: str
    at: float


class QoS(stock.QoS):
    """What is in hand. Used by the event loop's thread."""

    channel: "Channel"

    def append(self, message: Any, delivery_tag: str) -> None:
        """Take a message in hand; the script has recorded it already."""
        if delivery_tag in self.channel.claims:
            virtual.QoS.append(self, message, delivery_tag)
        else:
            super().append(message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Done with it."""
        self.channel.settle(delivery_tag)
        virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Give it back to its queue, still counted; or drop it."""
        if not requeue:
            self.ack(delivery_tag)
            return
        super().reject(delivery_tag, requeue=True)
        self.channel.give_back([delivery_tag], counted=True)

    def restore_unacked(self, client: Any = None) -> None:
        """Give everything back on an orderly way out: as if it had never been taken."""
        tags = list(self._delivered)
        super().restore_unacked(client)
        self.channel.give_back(tags, counted=False)

    def restore_by_tag(self, tag: Any, client: Any = None, leftmost: bool = False) -> None:
        """Put a message back whose holder is gone; one that can't be read is a dead letter."""
        try:
            super().restore_by_tag(tag, client, leftmost)
        except (ValueError, RecursionError) as error:
            with self.channel.conn_or_acquire(client) as connected:
                raw = connected.hget(self.unacked_key, tag)
            self.channel.bury(bytes_to_str(tag), raw or b"", error)

    def renew_leases(self) -> None:
        """Say that what is in hand is being worked on."""
        now = monotonic()
        held = [tag for tag in self._delivered if tag not in self._dirty]
        claims = self.channel.claims
        self.channel.renew([t for t in held if t not in claims or now - claims[t].at < LEASE_AT_MOST_S])


class Channel(stock.Channel):
    """One consumer's channel. Private names of the base: see the module's contract test."""

    QoS = QoS
    catalog = "lookalike"
    delivery_limit = 5
    quarantine_after = 2
    queue_order: Iterable[str] = ()
    from_transport_options = (
        *stock.Channel.from_transport_options,
        "catalog",
        "delivery_limit",
        "quarantine_after",
        "queue_order",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.claims: dict[str, _Claim] = {}
        self._idle_until = 0.0
        self._asked: list[str] = []
        super().__init__(*args, **kwargs)

    def settle(self, tag: str) -> None:
        """Forget a message."""
        keys = [self.unacked_index_key, self.unacked_key, "deliveries", f"{QUARANTINE}:holder"]
        self._eval(SETTLE, keys, tag)
        self.claims.pop(tag, None)

    def give_back(self, tags: list[str], *, counted: bool) -> None:
        """Let go of messages that are in their queues again."""
        if tags:
            self._eval(RETURN, ["deliveries", f"{QUARANTINE}:holder"], 0 if counted else -1, *tags)
        for tag in tags:
            self.claims.pop(tag, None)

    def renew(self, tags: list[str]) -> None:
        """Renew the leases of these messages, if they are still held."""
        if tags:
            keys = [self.unacked_index_key, f"{QUARANTINE}:holder"]
            self._eval(RENEW, keys, time(), int(self.visibility_timeout), *tags)

    def bury(self, tag: str, raw: bytes, error: Exception) -> None:
        """Make a dead letter of a message that can't be read, and forget it."""
        now = _iso_now()
        fields = {"type": "", "document": raw, "reason": "MalformedMessage", "message": str(error)}
        fields |= {"image": "", "attempts": "1", "first_seen": now, "last_seen": now, "trace_id": ""}
        flat = [item for pair in fields.items() for item in pair]
        with self.conn_or_acquire() as client:
            client.execute_command("XADD", stream_name(self.catalog), "*", *flat)
        self.settle(tag)

    def _eval(self, script: str, keys: list[str], *arguments: Any) -> None:
        """EVAL with the prefix that kombu's own client gives to keys."""
        prefixed = [self.global_keyprefix + key for key in keys]
        with self.conn_or_acquire() as client:
            client.execute_command("EVAL", script, len(prefixed), *prefixed, *arguments)

    def _queues_to_ask(self) -> list[str]:
        """The consumed queues in order; only the first while the others have all hands they may."""
        order = {name: place for place, name in enumerate(self.queue_order)}
        queues = sorted(self.active_queues, key=lambda queue: (order.get(queue, len(order)), queue))
        hands = self.qos.prefetch_count
        if not queues or hands < 2 or queues[0] not in order:
            return queues
        others = sum(claim.queue != queues[0] for claim in self.claims.values())
        return queues if others < hands - max(1, hands // 4) else queues[:1]

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Send the claim; stands in for BRPOP, whose reply `_brpop_read` reads."""
        del timeout
        wait_s = self._idle_until - monotonic()
        if wait_s > 0:
            if self.connection.looped:
                return
            sleep(wait_s)
        self._asked = self._queues_to_ask()
        if not self._asked:
            return
        names = [self._q_for_pri(queue, step) for step in self.priority_steps for queue in self._asked]
        self._asked *= len(self.priority_steps)
        prefix = self.global_keyprefix
        own = [self.unacked_index_key, self.unacked_key, "deliveries"]
        keys = [prefix + key for key in own] + [stream_name(self.catalog)]
        keys += [prefix + key for key in (QUARANTINE, f"{QUARANTINE}:holder", *names)]
        quarantines = int(QUARANTINE in self.active_queues)
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        self.client.connection.send_command(
            "EVAL", CLAIM, len(keys), *keys,
            time(), _iso_now(), self.delivery_limit, self.quarantine_after, int(self.visibility_timeout),
            quarantines, *names,
        )  # fmt: skip

    def _brpop_read(self, **options: Any) -> bool:
        try:
            try:
                reply = self.client.parse_response(self.client.connection, "EVAL", **options)
            except self.connection_errors:
                self.client.connection.disconnect()
                raise
            if not reply:
                self._idle_until = monotonic() + POLL_S
                if not self.connection.looped:  # else a timer of the loop does it
                    self.connection.cycle.maybe_restore_messages()
                raise Empty
            number, raw, tag = reply
            self._take(self._asked[number], raw, bytes_to_str(tag))
            return True
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()

    def _take(self, queue: str, raw: bytes, tag: str) -> None:
        """Hand a claimed message to its consumer, unless Python reads it otherwise than Lua."""
        try:
            message = loads(bytes_to_str(raw))
            self.Message(message, channel=self)
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            self.bury(tag, raw, error)
            return
        self.claims[tag] = _Claim(queue, monotonic())
        self.connection._deliver(message, queue)  # noqa: SLF001  # as the method this one replaces does


class Transport(stock.Transport):
    """`broker_transport = "worker.transport:Transport"`, for redis:// and rediss:// URLs."""

    Channel = Channel
    looped = False
    """Whether an event loop polls; without one, `_brpop_start` waits by itself."""

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Add the poll and the leases to the loop's timers."""
        super().register_with_event_loop(connection, loop)
        self.looped = True
        cycle = self.cycle
        for name in ("lookalike_poll", "lookalike_leases"):
            timer = getattr(cycle, name, None)
            if timer is not None:
                timer.cancel()
        every_s = connection.client.transport_options.get("visibility_timeout", 60) / 3
        cycle.lookalike_poll = loop.call_repeatedly(POLL_S, _wake)
        cycle.lookalike_leases = loop.call_repeatedly(every_s, _renew_leases, cycle)


def _wake() -> None:
    """Nothing: a due timer makes the loop turn, and every turn asks the queues."""


def _renew_leases(cycle: Any) -> None:
    for channel in cycle._channels:  # noqa: SLF001  # as kombu's own timers do
        if channel.active_queues:
            try:
                channel.qos.renew_leases()
            except channel.connection_errors as error:
                log.warning("leases_not_renewed", extra={"error": str(error)})


def _iso_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")
