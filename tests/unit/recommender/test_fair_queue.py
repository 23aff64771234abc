from recommender.fair_queue import FairQueue


def test_callers_take_turns_and_each_ones_items_come_in_order() -> None:
    queue: FairQueue[int] = FairQueue()
    for item in (1, 2, 3):
        queue.put("many", item)
    queue.put("few", 9)
    assert [queue.take() for _ in range(5)] == [1, 9, 2, 3, None]
    assert len(queue) == 0


def test_who_is_passed_over_keeps_the_turn() -> None:
    queue: FairQueue[int] = FairQueue()
    for caller, item in (("odd", 1), ("even", 2), ("odd", 3), ("even", 4)):
        queue.put(caller, item)
    assert queue.take(lambda item: item % 2 == 0) == 2
    assert queue.take(lambda item: item > 9) is None
    assert (len(queue), queue.count("odd"), queue.count("even")) == (3, 2, 1)
    assert [queue.take() for _ in range(3)] == [1, 4, 3]
