"""More than there is room for, and later than one waits for."""

import socket
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from recommender import metrics
from tests.integration.api.slow import gated
from tests.shop import Shop, served

SIMILAR = "/v1/products/tall-gold-1/similar"
DEFAULT_THREADS = 40  # of anyio, which runs the routes


def refused(reason: str) -> float:
    return metrics.API_REFUSED.labels(reason)._value.get()


def test_beyond_what_may_be_in_hand_one_is_told_at_once_to_come_again(catalog: Shop) -> None:
    before = refused("room")
    with (
        gated(catalog, max_in_hand=2) as (shop, gate),
        served(shop) as api,
        ThreadPoolExecutor() as pool,
    ):
        in_hand = [pool.submit(api.get, SIMILAR) for _ in range(2)]
        gate.wait_for(2)
        for path in (SIMILAR, "/v1/categories", "/", "/openapi.json"):
            shed = api.get(path)
            assert (shed.status_code, shed.json()["type"]) == (503, "urn:lookalike:problem:overloaded")
            assert int(shed.headers["retry-after"]) > 0
        for path in ("/healthz", "/readyz", "/metrics"):
            assert api.get(path).status_code == 200
        assert "lookalike_api_in_hand 2.0" in api.get("/metrics").text
        gate.go.set()
        assert [request.result().status_code for request in in_hand] == [200, 200]
        assert api.get(SIMILAR).status_code == 200
        assert "lookalike_api_in_hand 0.0" in api.get("/metrics").text
    assert refused("room") - before == 4


def test_probes_are_answered_when_every_thread_is_taken(catalog: Shop) -> None:
    with (
        gated(catalog, max_in_hand=DEFAULT_THREADS + 5) as (shop, gate),
        served(shop) as api,
        ThreadPoolExecutor(DEFAULT_THREADS + 5) as pool,
    ):
        waiting = [pool.submit(api.get, SIMILAR) for _ in range(DEFAULT_THREADS + 5)]
        gate.wait_for(DEFAULT_THREADS)
        with httpx.Client(base_url=api.base_url, timeout=30, trust_env=False) as probe:
            assert [probe.get(path).status_code for path in ("/healthz", "/readyz", "/metrics")] == [200] * 3
        gate.go.set()
        assert {request.result().status_code for request in waiting} == {200}


def test_an_answer_that_is_late_is_a_504_and_its_work_is_still_in_hand(catalog: Shop) -> None:
    with gated(catalog, max_in_hand=1, deadline_s=0.2) as (shop, gate), served(shop) as api:
        late = api.get(SIMILAR)
        assert (late.status_code, late.json()["type"]) == (504, "urn:lookalike:problem:not-in-time")
        assert int(late.headers["retry-after"]) > 0
        assert late.headers["content-type"] == "application/problem+json"
        assert api.get("/v1/categories").json()["type"] == "urn:lookalike:problem:overloaded"
        gate.go.set()
        for _ in range(300):
            if (answer := api.get("/v1/categories")).status_code == 200:
                break
        assert "shapes" in answer.json()["categories"]


def test_what_waits_for_a_thread_beyond_its_deadline_is_never_done(catalog: Shop) -> None:
    everyone = DEFAULT_THREADS + 5
    with (
        gated(catalog, max_in_hand=everyone, deadline_s=1) as (shop, gate),
        served(shop) as api,
        ThreadPoolExecutor(everyone) as pool,
    ):
        answers = list(pool.map(lambda _: api.get(SIMILAR).status_code, range(everyone)))
        assert answers == [504] * everyone
        assert "lookalike_api_in_hand 40.0" in api.get("/metrics").text
        gate.go.set()
        gate.wait_for(DEFAULT_THREADS)
        assert api.get("/v1/categories").status_code == 200
        assert not gate.begun.acquire(blocking=False), "more than have a thread had begun"


@pytest.mark.parametrize("sent", [b"", b'{"positive":'])
def test_a_request_that_does_not_arrive_is_a_408_and_cut_off(catalog: Shop, sent: bytes) -> None:
    with gated(catalog, deadline_s=0.2) as (shop, _), served(shop) as api:
        address = (api.base_url.host, api.base_url.port or 80)
        with socket.create_connection(address, timeout=30) as connection:
            connection.sendall(
                b"POST /v1/similar HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"
                b"Content-Length: 100\r\n\r\n" + sent
            )
            answer = b"".join(iter(lambda: connection.recv(65536), b""))  # to its end: the server closes
    assert answer.startswith(b"HTTP/1.1 408 ")
    assert b"urn:lookalike:problem:body-not-in-time" in answer
    assert b"connection: close" in answer
