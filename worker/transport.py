"""The Redis transport, except that taking a message and recording that it is in hand are one step.

kombu takes with BRPOP and records later (`QoS.append`): a worker killed in between loses the message.
Here one Lua script takes, checks and records, into kombu's own keys (worker.claim); producers, and going
back to kombu's transport, are not affected. Beside it:

- what is in hand is leased: its time is renewed, so that the visibility timeout can be short;
- a message whose body had begun before (worker.deliveries) waits in `quarantine`, of which a process has
  one in hand at a time; what keeps ending its workers even there is a dead letter in the end;
- what is no Celery message, or too large, is a dead letter at once;
- the first queue of `queue_order` comes first, but for one claim in `TURN_EVERY`, and the others never take
  all hands;
- nothing is claimed while `may_consume` says so, or too many bytes are in hand.

It leans on private names of kombu 5.7, which tests/unit/worker/test_transport.py holds.
"""

from collections.abc import Callable, Iterable, Sequence
from queue import Empty
from time import monotonic, sleep
from typing import Any

from kombu.transport import redis as stock
from kombu.transport import virtual
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import loads
from redis.sentinel import Sentinel

from worker import claim
from worker.books import Books
from worker.claim import QUARANTINE
from worker.deliveries import LIMIT
from worker.in_hand import Held, InHand
from worker.jobs.dead_letters import now, stream_name

POLL_S = 0.02
POLL_AT_MOST_S = 0.25
"""Polls of empty queues grow from the one to the other: what a message to an idle worker may wait."""
TURN_EVERY = 16
MESSAGE_AT_MOST_BYTES = 16 * 2**20
IN_HAND_AT_MOST_BYTES = 64 * 2**20
"""As JSON; the message that exceeds it is the last one that is claimed."""


class QoS(stock.QoS):
    """What one channel has delivered. Used by the event loop's thread."""

    channel: "Channel"

    def append(self, message: Any, delivery_tag: str) -> None:
        """Count a message as delivered; the script that claimed it has recorded it."""
        virtual.QoS.append(self, message, delivery_tag)

    def ack(self, delivery_tag: str) -> None:
        """Done with it."""
        self.channel.in_hand.finish(delivery_tag)
        virtual.QoS.ack(self, delivery_tag)

    def reject(self, delivery_tag: str, requeue: bool = False) -> None:
        """Give it back to its queue, or drop it."""
        if not requeue:
            self.ack(delivery_tag)
            return
        self.channel.in_hand.give_back(delivery_tag)
        virtual.QoS.ack(self, delivery_tag)

    def restore_unacked(self, client: Any = None) -> None:
        """Give back what has not begun, on the way out; called for a connection that is lost, too."""
        del client
        for tag in reversed(list(self._delivered)):  # the oldest comes to the front last
            self.channel.in_hand.let_go(tag)
        self._delivered.clear()

    def restore_visible(self, start: int = 0, num: int | None = 10, interval: int = 10) -> None:
        """Called by kombu's timer, and between polls where there is no event loop."""
        del start, num, interval
        self.channel.keep_books()


class Channel(Books):
    """One consumer's channel."""

    QoS = QoS
    delivery_limit = LIMIT
    queue_order: Iterable[str] = ()
    may_consume: Callable[[], bool] = staticmethod(lambda: True)
    from_transport_options = (
        *stock.Channel.from_transport_options,
        "catalog",
        "dead_letters_alarm",
        "delivery_limit",
        "queue_order",
        "may_consume",
        "in_hand",
    )

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        self.in_hand = InHand()  # unless the options name one that outlives this connection
        self._rest_until = 0.0
        self._rest_s = 0.0
        self._asked: list[str] = []
        self._claims = 0
        super().__init__(*args, **kwargs)

    def basic_consume(self, queue: str, *args: Any, **kwargs: Any) -> Any:
        """Consume from a queue."""
        self.in_hand.use(self)
        return super().basic_consume(queue, *args, **kwargs)

    def close(self) -> None:
        """Give back what has not begun, and end."""
        try:
            super().close()
        finally:
            self.in_hand.leave(self)

    def _queues_to_ask(self) -> list[str]:
        """The consumed queues in order; only the first while the others have all hands they may.

        Quarantine has one hand, and comes before all: whatever waits in the others, a suspect's turn comes.
        One claim in `TURN_EVERY` asks the first queue last, so that no queue waits for ever.
        """
        if self.in_hand.size_bytes > IN_HAND_AT_MOST_BYTES or not self.may_consume():
            return []
        order = {name: place for place, name in enumerate(self.queue_order)}
        queues = sorted(self.active_queues, key=lambda queue: (order.get(queue, len(order)), queue))
        suspects = self.in_hand.count(QUARANTINE)
        quarantine = [QUARANTINE] if QUARANTINE in queues and not suspects else []
        queues = [queue for queue in queues if queue != QUARANTINE]
        hands = self.qos.prefetch_count
        if queues and hands >= 2 and queues[0] in order:
            others = len(self.in_hand) - self.in_hand.count(queues[0]) - suspects
            self._claims += 1
            if others >= hands - max(1, hands // 4):
                queues = queues[:1]
            elif self._claims % TURN_EVERY == 0:
                queues = queues[1:] + queues[:1]
        return quarantine + queues

    def _claim(self, queues: list[str]) -> tuple[list[Any], list[str]]:
        """The command that claims from the first of these that has a message, and the queue of each list."""
        asked = [(queue, self._q_for_pri(queue, step)) for queue in queues for step in self.priority_steps]
        lists = [self.global_keyprefix + name for _, name in asked]
        keys = [*self.books, stream_name(self.catalog), self.global_keyprefix + QUARANTINE, *lists]
        names = [queue for queue, _ in asked]
        arguments = (now(), self.delivery_limit, MESSAGE_AT_MOST_BYTES, QUARANTINE, *names)
        return ["EVAL", claim.CLAIM, len(keys), *keys, *arguments], names

    def _claimed(self, asked: list[str], number: int, *found: Any) -> tuple[str, dict[str, Any]] | None:
        """Take what the claim answered in hand: its queue and the message; None for a dead letter."""
        if number == 0:
            self.tell(*found)
            return None
        raw, tag, count = found
        queue, tag = asked[number - 1], bytes_to_str(tag)
        try:
            payload = loads(bytes_to_str(raw))
            self.Message(payload, channel=self)
        except (ValueError, TypeError, LookupError, RecursionError) as error:  # Lua reads more than Python
            self.bury(tag, raw, error)
            return None
        self.in_hand.take(tag, Held(payload, queue, len(raw), count))
        return queue, payload

    def _brpop_start(self, timeout: float | None = None) -> None:
        """Send the claim; stands in for BRPOP, whose reply `_brpop_read` reads."""
        del timeout
        wait_s = self._rest_until - monotonic()
        if wait_s > 0:
            if self.connection.is_looped:
                return
            sleep(wait_s)
        queues = self._queues_to_ask()
        if not queues:
            self._rest()
            return
        command, self._asked = self._claim(queues)
        self._in_poll = self.client.connection
        self._brpop_sent_at = monotonic()
        self.client.connection.send_command(*command)

    def _brpop_read(self, **options: Any) -> bool:
        try:
            try:
                reply = self.client.parse_response(self.client.connection, "EVAL", **options)
            except self.connection_errors:
                self.client.connection.disconnect()
                raise
            if not reply:
                self._rest()
                if not self.connection.is_looped:  # else a timer of the loop does it
                    self.connection.cycle.maybe_restore_messages()
                raise Empty
            self._rest_s = 0.0
            if claimed := self._claimed(self._asked, *reply):
                queue, payload = claimed
                self.connection._deliver(payload, queue)  # noqa: SLF001  # as in what this one replaces
            return True
        finally:
            self._in_poll = None
            self._flush_brpop_reauth()

    def _rest(self) -> None:
        """Ask again in a while."""
        self._rest_s = min(max(POLL_S, 2 * self._rest_s), POLL_AT_MOST_S)
        self._rest_until = monotonic() + self._rest_s
        self.connection.wake_after(self._rest_s)

    def _get(self, queue: str) -> dict[str, Any]:
        """Claim from one queue now, for `basic_get`.

        Raises:
            Empty: there is nothing.
        """
        self.in_hand.use(self)
        command, asked = self._claim([queue])
        with self.conn_or_acquire() as client:
            while reply := client.execute_command(*command):
                if claimed := self._claimed(asked, *reply):
                    return claimed[1]
        raise Empty


class Transport(stock.Transport):
    """`broker_transport = "worker.transport:Transport"`, for one Redis server."""

    Channel = Channel
    _loop: Any = None

    @property
    def is_looped(self) -> bool:
        """Whether an event loop polls; without one, `_brpop_start` waits by itself."""
        return self._loop is not None

    def register_with_event_loop(self, connection: Any, loop: Any) -> None:
        """Have the loop poll, and keep the books often enough for the leases."""
        super().register_with_event_loop(connection, loop)
        self._loop = loop
        timer = getattr(self.cycle, "lookalike_leases", None)
        if timer is not None:
            timer.cancel()
        every_s = connection.client.transport_options.get("visibility_timeout", 60) / 3
        self.cycle.lookalike_leases = loop.call_repeatedly(every_s, self.cycle.maybe_restore_messages)

    def wake_after(self, seconds: float) -> None:
        """Have the loop turn by then: every turn asks the queues."""
        if self._loop is not None:
            self._loop.call_later(seconds, _wake)


class SentinelChannel(Channel, stock.SentinelChannel):
    """A channel to the master that the sentinels name."""

    master_name = ""
    sentinels: Sequence[tuple[str, int]] = ()
    from_transport_options = (
        *stock.SentinelChannel.from_transport_options,
        *Channel.from_transport_options,
        "sentinels",
    )

    def _sentinel_managed_pool(self, asynchronous: bool = False) -> Any:
        # kombu reads the sentinels from a broker URL that names several; but with such a URL it goes on
        # with its own transport after the first connection that fails (`Connection.switch`).
        parameters = self._connparams(asynchronous)
        del parameters["host"], parameters["port"]
        manager = Sentinel(self.sentinels, **parameters)  # type: ignore[no-untyped-call]
        if asynchronous:
            self._async_sentinel_manager = manager
        else:
            self._sentinel_manager = manager
        return manager.master_for(self.master_name).connection_pool  # type: ignore[no-untyped-call]


class SentinelTransport(Transport, stock.SentinelTransport):
    """`broker_transport = "worker.transport:SentinelTransport"`, where sentinels say which server it is."""

    Channel = SentinelChannel


def _wake() -> None:
    """Nothing: a due timer makes the loop turn."""
