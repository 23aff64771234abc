from itertools import pairwise

import pytest

from recommender.errors import ImageNotAllowed, ImageStoreUnavailable, IndexUnavailable, ProcessLost, RaceLost
from worker.breaker import FAILURES_IN_A_ROW, MAX_PAUSE_S, Breakers, CircuitBreaker, may_consume

AWAY = IndexUnavailable("away")


class Clock:
    now_s = 100.0

    def __call__(self) -> float:
        return self.now_s


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def breaker(clock: Clock) -> CircuitBreaker:
    return CircuitBreaker("index", clock)


def fail(breaker: CircuitBreaker, times: int = FAILURES_IN_A_ROW) -> None:
    for _ in range(times):
        breaker.failed(AWAY)


def pause(breaker: CircuitBreaker, clock: Clock) -> float:
    """How long it stays open from now on; it is half open afterwards."""
    began = clock.now_s
    while not breaker.lets_through:
        clock.now_s += 0.01
    return clock.now_s - began


def test_it_opens_after_failures_in_a_row_only(breaker: CircuitBreaker) -> None:
    for _ in range(3):
        fail(breaker, FAILURES_IN_A_ROW - 1)
        assert breaker.lets_through
        breaker.succeeded()
    fail(breaker)
    assert not breaker.lets_through


def test_half_open_a_success_closes_it_and_a_failure_opens_it_for_longer(
    breaker: CircuitBreaker, clock: Clock
) -> None:
    fail(breaker)
    pauses = [pause(breaker, clock)]
    for _ in range(8):
        fail(breaker, 1)
        assert not breaker.lets_through
        fail(breaker, 7)  # begun before it opened: they make the pause no longer
        pauses.append(pause(breaker, clock))
    assert all(shorter < longer for shorter, longer in pairwise(pauses[:1] + pauses[3:5]))
    assert MAX_PAUSE_S / 2 <= pauses[-1] <= MAX_PAUSE_S + 0.1
    breaker.succeeded()
    fail(breaker, FAILURES_IN_A_ROW - 1)
    assert breaker.lets_through
    fail(breaker, 1)
    assert pause(breaker, clock) < 1.1  # it starts over


def test_a_success_from_before_the_pause_proves_nothing(breaker: CircuitBreaker) -> None:
    fail(breaker)
    breaker.succeeded()
    assert not breaker.lets_through


def test_nothing_is_consumed_while_one_dependency_is_away() -> None:
    assert may_consume()
    with Breakers() as breakers:
        for _ in range(FAILURES_IN_A_ROW):
            breakers.failed(RaceLost("p"))
            breakers.failed(ProcessLost("p"))
        assert may_consume()
        for _ in range(FAILURES_IN_A_ROW):
            breakers.failed(ImageStoreUnavailable("503"))
        assert not may_consume()
        breakers.index.succeeded()
        assert not may_consume()
    assert may_consume()


def test_an_https_host_that_is_away_is_spared_its_images_and_nobody_else_waits() -> None:
    away, other = "https://cdn.example/a.jpg", "https://other.example/a.jpg"
    with Breakers() as breakers:
        for _ in range(FAILURES_IN_A_ROW):
            breakers.hear(away, ImageStoreUnavailable("timeout"))
        assert not breakers.lets_through(away)
        assert breakers.lets_through(other)
        assert breakers.lets_through("s3://shop/a.jpg")
        assert may_consume()


def test_only_an_answer_of_the_store_counts_as_one() -> None:
    uri = "s3://shop/a.jpg"
    with Breakers() as breakers:
        for said in (ImageNotAllowed(uri, "bucket"), ProcessLost("b"), ImageStoreUnavailable("503")):
            for _ in range(FAILURES_IN_A_ROW - 1):
                breakers.hear(uri, said)
        breakers.hear(uri, ImageStoreUnavailable("503"))
        assert not may_consume()


def test_an_address_that_nobody_has_checked_does_no_harm() -> None:
    breakers = Breakers()
    for uri in ("https://[::1/a.jpg", "https://", "nonsense", "file:///a.jpg"):
        for _ in range(FAILURES_IN_A_ROW):
            breakers.hear(uri, ImageNotAllowed(uri, "not listed"))
        assert breakers.lets_through(uri)
    assert breakers._hosts == {}
