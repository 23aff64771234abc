from pathlib import Path

import pytest

from tests.benchmarks.result import Result, limit, ratio, read


def test_what_is_written_is_read_again(tmp_path: Path) -> None:
    result = Result("throughput-compact", facts={"rounds": 2})
    result.figure("ours", "all", px=400).values += [1.0, 2.0, 4.0]
    result.write(tmp_path)
    assert read(tmp_path) == {"throughput-compact": result}


def test_a_figure_says_its_median_and_range() -> None:
    figure = Result("row").figure("F")
    figure.values += [10.0, 1234.5, 99.96]
    assert str(figure) == "100 (10 to 1,234)"


def test_figures_of_two_sizes_are_two() -> None:
    result = Result("row")
    assert result.figure("D", px=400) is not result.figure("D", px=1000)
    assert result.figure("D", px=400) is result.figure("D", px=400)
    assert result.sides() == [400, 1000]


def test_the_limit_adds_the_times_of_each_round() -> None:
    assert limit([100, 200], [100, 50]) == pytest.approx([50, 40])


def test_a_ratio_compares_within_rounds() -> None:
    assert ratio([10, 1, 30], [10, 2, 10]) == 1.0  # 1, 0.5, 3: a slow round is slow for both
