"""What a channel writes into Redis about messages in hand: see worker.claim for the scripts."""

from collections.abc import Sequence
from time import monotonic
from typing import Any

from kombu.transport import redis as stock
from kombu.utils.encoding import bytes_to_str
from kombu.utils.json import dumps, loads

from worker import claim
from worker.claim import QUARANTINE
from worker.deliveries import KEY as DELIVERIES
from worker.deliveries import is_lent
from worker.in_hand import Held, InHand
from worker.jobs.dead_letters import DeadLetter, now, stream_name, tell_arrival

SWEEP_AT_MOST = 256


class Books(stock.Channel):
    """A channel that keeps the books. Used by the event loop's thread; every method blocks for a round trip.

    Private names of the base: see the contract test of the transport.
    """

    catalog = "lookalike"
    dead_letters_alarm: int | None = None
    in_hand: InHand
    _kept_at = float("-inf")

    def settle(self, tag: str) -> None:
        """Forget a message."""
        self._evaluate(claim.SETTLE, self.books, tag)

    def give_back(self, tag: str, held: Held, *, unless_begun: bool) -> bool:
        """Put it back into its queue as if it had never been taken; answers whether it stays in hand.

        What has begun stays, even where a process of its own has its work now. What has not goes to the front
        again; the rest behind the others, lest it comes back at once.
        """
        if unless_begun and is_lent(tag):
            return True
        push = "RPUSH" if unless_begun and held.queue != QUARANTINE else "LPUSH"
        arguments = (tag, _redelivered(held.payload), held.count, push, int(unless_begun))
        queue = self._list_of(held.queue, held.payload)
        return bool(self._evaluate(claim.GIVE_BACK, [*self.books, queue], *arguments))

    def keep_books(self) -> None:
        """Pay what is owed, renew the leases of what is in hand, take over what nobody works on any more.

        Blocks for a few round trips. A call soon after the last one does nothing.
        """
        if monotonic() - self._kept_at < self.unacked_restore_interval / 2:
            return
        self._kept_at = monotonic()
        self.in_hand.pay()
        index, unacked, _ = self.books
        if tags := self.in_hand.tags:
            self.in_hand.forget([bytes_to_str(tag) for tag in self._evaluate(claim.RENEW, [index], *tags)])
        overdue = self._evaluate(
            claim.OVERDUE, [index, unacked], float(self.visibility_timeout), SWEEP_AT_MOST
        )
        for tag, at in zip(overdue[::2], overdue[1::2], strict=True):
            self._take_over(bytes_to_str(tag), at)

    def _take_over(self, tag: str, at: bytes) -> None:
        """Put a message back whose holder is gone; one that can't be read is a dead letter."""
        index, unacked, _ = self.books
        with self.conn_or_acquire() as client:
            record = client.execute_command("HGET", self.unacked_key, tag) or b""
        try:
            payload, exchange, routing_key = loads(bytes_to_str(record))
            queues = self._queues_of(exchange, routing_key)
            lists = [self._list_of(queue, payload) for queue in queues]
            text = _redelivered(payload)
        except (ValueError, TypeError, LookupError, RecursionError) as error:
            self.bury(tag, record, error)
            return
        # At the far end of quarantine, so that one that ends its workers doesn't hold up the others.
        push = "LPUSH" if QUARANTINE in queues else "RPUSH"
        self._evaluate(claim.TAKE_OVER, [index, unacked, *lists], tag, at, text, push)

    def _queues_of(self, exchange: str, routing_key: str) -> list[str]:
        queues: list[str] = self._lookup(exchange, routing_key)
        if not queues and routing_key in self.active_queues:
            return [routing_key]  # nobody bound the exchange, but by that name it can be meant only
        if not queues:
            raise LookupError(f"exchange {exchange!r} is not known, nor is a queue {routing_key!r} consumed")
        return queues

    def bury(self, tag: str, document: bytes, error: Exception) -> None:
        """Make a dead letter of a message that can't be read."""
        keys = [*self.books, stream_name(self.catalog)]
        reason, why = "MalformedMessage", str(error)
        buried = self._evaluate(claim.BURY, keys, tag, now(), document, reason, why)
        if buried is not None:
            self.tell(*buried, "", reason, why, 1)

    def tell(self, entry: bytes, letters: int, *fields: Any) -> None:
        """Tell of a dead letter that a script wrote: its type, reason, message and attempts."""
        kind, reason, why = map(bytes_to_str, fields[:3])
        letter = DeadLetter(kind, "", reason, why, attempts=fields[3], id=bytes_to_str(entry))
        tell_arrival(letter, letters, self.dead_letters_alarm)

    @property
    def books(self) -> list[str]:
        """The keys of index, records and counts, as Redis has them."""
        return [self.global_keyprefix + key for key in (self.unacked_index_key, self.unacked_key, DELIVERIES)]

    def _list_of(self, queue: str, payload: dict[str, Any]) -> str:
        priority = self._get_message_priority(payload, reverse=False)
        return f"{self.global_keyprefix}{self._q_for_pri(queue, priority)}"

    def _evaluate(self, script: str, keys: Sequence[str], *arguments: Any) -> Any:
        with self.conn_or_acquire() as client:
            return client.execute_command("EVAL", script, len(keys), *keys, *arguments)


def _redelivered(payload: dict[str, Any]) -> str:
    payload["headers"]["redelivered"] = True
    payload["properties"]["delivery_info"]["redelivered"] = True
    text: str = dumps(payload)
    return text
