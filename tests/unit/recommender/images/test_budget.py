"""What is in hand at a time. Threads tell each other by events when they hold something; nothing is timed."""

import sys
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from threading import Barrier, Event, Lock, Thread

import pytest

from recommender.images.budget import Budget

LIMIT = 100


class Holder:
    """A thread that holds some weight until it is told to let go."""

    def __init__(self, budget: Budget, weight: int, order: list["Holder"]) -> None:
        self.has, self.lets_go = Event(), Event()
        self._budget, self._weight, self._order = budget, weight, order
        self.thread = Thread(target=self._run)
        self.thread.start()

    def _run(self) -> None:
        with self._budget.hold(self._weight, LIMIT):
            self._order.append(self)
            self.has.set()
            self.lets_go.wait()


@pytest.fixture
def holders() -> Iterator[list[Holder]]:
    """Those that hold or held, in this order; all let go in the end."""
    made: list[Holder] = []
    yield made
    for holder in made:
        holder.lets_go.set()
        holder.thread.join()


def waiting(budget: Budget, number: int) -> None:
    while len(budget._waiting) != number:
        Event().wait(0.001)


def test_many_small_ones_at_a_time(holders: list[Holder]) -> None:
    budget = Budget()
    for holder in [Holder(budget, 25, holders) for _ in range(4)]:
        assert holder.has.wait(10)


def test_one_too_many_waits_until_there_is_room(holders: list[Holder]) -> None:
    budget = Budget()
    first = Holder(budget, 60, holders)
    assert first.has.wait(10)
    second = Holder(budget, 60, holders)
    waiting(budget, 1)
    assert not second.has.is_set()
    first.lets_go.set()
    assert second.has.wait(10)


def test_a_giant_beyond_the_budget_has_it_to_itself(holders: list[Holder]) -> None:
    budget = Budget()
    giant = Holder(budget, 10 * LIMIT, holders)
    assert giant.has.wait(10)
    small = Holder(budget, 1, holders)
    waiting(budget, 1)
    assert not small.has.is_set()
    giant.lets_go.set()
    assert small.has.wait(10)


def test_a_giant_that_waits_is_not_overtaken(holders: list[Holder]) -> None:
    budget = Budget()
    first = Holder(budget, 10, holders)
    assert first.has.wait(10)
    giant = Holder(budget, LIMIT, holders)
    waiting(budget, 1)
    small = Holder(budget, 10, holders)
    waiting(budget, 2)
    assert not small.has.is_set()  # there is room for it, but it came later
    first.lets_go.set()
    assert giant.has.wait(10)
    giant.lets_go.set()
    assert small.has.wait(10)
    assert holders == [first, giant, small]


def test_an_exception_gives_the_weight_back() -> None:
    budget = Budget()
    for _ in range(3):
        with pytest.raises(KeyError), budget.hold(LIMIT, LIMIT):
            raise KeyError
    assert budget._in_hand == 0


def test_one_that_gives_up_waiting_does_not_block_those_behind_it(
    holders: list[Holder], monkeypatch: pytest.MonkeyPatch
) -> None:
    budget = Budget()
    first = Holder(budget, LIMIT, holders)
    assert first.has.wait(10)

    def interrupted(_: object) -> bool:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(budget._changed, "wait_for", interrupted)
        with pytest.raises(KeyboardInterrupt), budget.hold(1, LIMIT):
            pass
    second = Holder(budget, 1, holders)
    first.lets_go.set()
    assert second.has.wait(10)


def test_it_is_never_passed_and_nobody_is_left_behind() -> None:
    budget, lock, barrier = Budget(), Lock(), Barrier(8)
    in_hand, most = 0, 0

    def work(lane: int) -> int:
        nonlocal in_hand, most
        barrier.wait(10)
        for n in range(300):
            weight = 1 + (37 * lane + 11 * n) % LIMIT
            with budget.hold(weight, LIMIT):
                with lock:
                    in_hand += weight
                    most = max(most, in_hand)
                with lock:
                    in_hand -= weight
        return 300

    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-5)
    try:
        with ThreadPoolExecutor(8) as pool:
            assert sum(pool.map(work, range(8))) == 2400
    finally:
        sys.setswitchinterval(before)
    assert most <= LIMIT
    assert budget._in_hand == 0
    assert not budget._waiting
