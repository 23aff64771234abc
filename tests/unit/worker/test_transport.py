"""The private names of kombu that the transport leans on: an upgrade that moves one fails here."""

import inspect
from typing import Any

import kombu
import pytest
from kombu import Connection
from kombu.transport import redis as stock
from kombu.transport import resolve_transport, virtual

from worker import transport
from worker.in_hand import InHand


def test_the_version_is_the_one_it_was_read_from() -> None:
    assert kombu.__version__.startswith("5.7.")


@pytest.mark.parametrize(
    ("owner", "name", "arguments"),
    [
        (stock.QoS, "append", ["self", "message", "delivery_tag"]),
        (stock.QoS, "ack", ["self", "delivery_tag"]),
        (stock.QoS, "reject", ["self", "delivery_tag", "requeue"]),
        (stock.QoS, "restore_unacked", ["self", "client"]),
        (stock.QoS, "restore_visible", ["self", "start", "num", "interval"]),
        (virtual.QoS, "append", ["self", "message", "delivery_tag"]),
        (virtual.QoS, "ack", ["self", "delivery_tag"]),
        (virtual.QoS, "restore_unacked_once", ["self", "stderr"]),
        (stock.Channel, "_brpop_start", ["self", "timeout"]),
        (stock.Channel, "_brpop_read", ["self", "options"]),
        (stock.Channel, "_get", ["self", "queue"]),
        (stock.Channel, "_q_for_pri", ["self", "queue", "pri"]),
        (stock.Channel, "_flush_brpop_reauth", ["self"]),
        (stock.Channel, "_connparams", ["self", "asynchronous"]),
        (stock.Channel, "conn_or_acquire", ["self", "client"]),
        (stock.Channel, "basic_consume", ["self", "queue", "args", "kwargs"]),
        (stock.Channel, "close", ["self"]),
        (virtual.Channel, "_lookup", ["self", "exchange", "routing_key", "default"]),
        (virtual.Channel, "_get_message_priority", ["self", "message", "reverse"]),
        (stock.SentinelChannel, "_sentinel_managed_pool", ["self", "asynchronous"]),
        (virtual.Transport, "_deliver", ["self", "message", "queue"]),
        (stock.Transport, "register_with_event_loop", ["self", "connection", "loop"]),
        (stock.MultiChannelPoller, "maybe_restore_messages", ["self"]),
    ],
)
def test_a_method_has_the_arguments_it_had(owner: Any, name: str, arguments: list[str]) -> None:
    assert list(inspect.signature(getattr(owner, name)).parameters) == arguments


def test_a_queue_is_polled_by_the_methods_that_are_overridden() -> None:
    source = inspect.getsource(stock.Channel.__init__)
    assert "'BRPOP': self._brpop_read" in source
    assert "channel._brpop_start()" in inspect.getsource(stock.MultiChannelPoller._register_BRPOP)
    assert "_in_poll" in inspect.getsource(stock.MultiChannelPoller._register_BRPOP)
    assert "_brpop_sent_at" in inspect.getsource(stock.MultiChannelPoller.maybe_check_brpop_health)


def test_the_books_are_kept_by_kombus_timer() -> None:
    assert "cycle.maybe_restore_messages" in inspect.getsource(stock.Transport.register_with_event_loop)
    assert "channel.qos.restore_visible(" in inspect.getsource(stock.MultiChannelPoller)
    assert stock.Channel.unacked_restore_interval == 10


def test_a_message_is_recorded_under_the_keys_and_in_the_form_that_restoring_reads() -> None:
    assert (stock.Channel.unacked_key, stock.Channel.unacked_index_key) == ("unacked", "unacked_index")
    assert "dumps([message._raw, EX, RK])" in inspect.getsource(stock.QoS.append)
    assert "self.channel._do_restore_message(M, EX, RK" in inspect.getsource(stock.QoS.restore_by_tag)


def test_what_is_delivered_is_kept_where_the_way_out_looks() -> None:
    assert "_delivered" in virtual.QoS.__init__.__code__.co_names
    assert "self._qos.restore_unacked_once()" in inspect.getsource(virtual.Channel.close)


def test_a_url_of_several_sentinels_would_end_in_kombus_own_transport() -> None:
    connection = Connection("sentinel://a;sentinel://b", transport=transport.SentinelTransport)
    assert connection.transport_cls is transport.SentinelTransport
    connection.maybe_switch_next()
    assert connection.transport_cls == "sentinel"  # why SentinelChannel takes its sentinels as an option


def test_the_pools_of_sentinels_are_closed_by_these_names() -> None:
    source = inspect.getsource(stock.Channel._disconnect_pools)
    assert "self._sentinel_manager" in source
    assert "self._async_sentinel_manager" in source


def test_options_that_change_do_not_make_another_connection_pool() -> None:
    in_hand = InHand()
    before = repr(in_hand)  # kombu tells connections apart by the repr of their options
    in_hand.let_go("a")
    in_hand.finish("a")
    assert repr(in_hand) == before
    assert "repr(self.transport_options)" in inspect.getsource(Connection.__eqhash__)


@pytest.mark.parametrize("name", ["Transport", "SentinelTransport"])
def test_it_is_found_by_its_name(name: str) -> None:
    found = resolve_transport(f"worker.transport:{name}")
    assert found is getattr(transport, name)
    assert issubclass(found, stock.Transport)
    assert set(stock.Channel.from_transport_options) <= set(found.Channel.from_transport_options)
