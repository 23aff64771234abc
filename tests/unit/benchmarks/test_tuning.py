from tests.benchmarks.rows.tuning import climb, largest_worth


def test_sizes_beyond_one_that_gains_nothing_are_not_tried() -> None:
    rates, asked = {8: 100.0, 16: 110.0, 32: 111.0, 64: 200.0}, []

    def rate_of(size: int) -> float:
        asked.append(size)
        return rates[size]

    assert climb(rates, rate_of) == 32
    assert asked == [8, 16, 32]


def test_without_a_gain_to_make_every_size_is_tried() -> None:
    rates = {8: 100.0, 16: 50.0, 32: 120.0}
    assert climb(rates, rates.__getitem__, gain=0) == 32


def test_a_worker_is_told_the_largest_batch_that_costs_nothing() -> None:
    assert largest_worth({(8, 2): 100.0, (16, 2): 96.0, (32, 2): 94.0}) == 16
