"""The private names of kombu that the transport leans on: an upgrade that moves one fails here."""

import inspect
from typing import Any

import kombu
import pytest
from kombu.transport import redis as stock
from kombu.transport import resolve_transport, virtual

from worker import transport


def test_the_version_is_the_one_it_was_read_from() -> None:
    assert kombu.__version__.startswith("5.7.")


@pytest.mark.parametrize(
    ("owner", "name", "arguments"),
    [
        (stock.QoS, "append", ["self", "message", "delivery_tag"]),
        (stock.QoS, "ack", ["self", "delivery_tag"]),
        (stock.QoS, "reject", ["self", "delivery_tag", "requeue"]),
        (stock.QoS, "restore_unacked", ["self", "client"]),
        (stock.QoS, "restore_by_tag", ["self", "tag", "client", "leftmost"]),
        (virtual.QoS, "append", ["self", "message", "delivery_tag"]),
        (virtual.QoS, "ack", ["self", "delivery_tag"]),
        (stock.Channel, "_brpop_start", ["self", "timeout"]),
        (stock.Channel, "_brpop_read", ["self", "options"]),
        (stock.Channel, "_q_for_pri", ["self", "queue", "pri"]),
        (stock.Channel, "_flush_brpop_reauth", ["self"]),
        (stock.Channel, "conn_or_acquire", ["self", "client"]),
        (virtual.Transport, "_deliver", ["self", "message", "queue"]),
        (stock.Transport, "register_with_event_loop", ["self", "connection", "loop"]),
    ],
)
def test_a_method_has_the_arguments_it_had(owner: Any, name: str, arguments: list[str]) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters) == arguments


def test_a_queue_is_polled_by_the_methods_that_are_overridden() -> None:
    source = inspect.getsource(stock.Channel.__init__)
    assert "'BRPOP': self._brpop_read" in source
    assert "channel._brpop_start()" in inspect.getsource(stock.MultiChannelPoller._register_BRPOP)
    assert "_in_poll" in inspect.getsource(stock.MultiChannelPoller._register_BRPOP)


def test_a_message_is_recorded_under_the_keys_and_in_the_form_that_restoring_reads() -> None:
    assert (stock.Channel.unacked_key, stock.Channel.unacked_index_key) == ("unacked", "unacked_index")
    assert "dumps([message._raw, EX, RK])" in inspect.getsource(stock.QoS.append)
    assert "self.channel._do_restore_message(M, EX, RK" in inspect.getsource(stock.QoS.restore_by_tag)


def test_what_is_in_hand_is_kept_where_leases_look() -> None:
    qos = virtual.QoS.__init__
    assert {"_delivered", "_dirty"} <= set(qos.__code__.co_names)


def test_it_is_found_by_its_name() -> None:
    assert resolve_transport("worker.transport:Transport") is transport.Transport
    assert issubclass(transport.Transport, stock.Transport)
