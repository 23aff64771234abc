"""What a report adds up."""

import pytest

from worker.report import covered_s


@pytest.mark.parametrize(
    ("spans", "seconds"),
    [
        ([], 0.0),
        ([(1.0, 3.0)], 2.0),
        ([(1.0, 3.0), (2.0, 4.0), (2.5, 2.6)], 3.0),
        ([(8.0, 9.0), (1.0, 2.0)], 2.0),
    ],
)
def test_time_that_several_spans_cover_counts_once(spans: list[tuple[float, float]], seconds: float) -> None:
    assert covered_s(spans) == pytest.approx(seconds)
