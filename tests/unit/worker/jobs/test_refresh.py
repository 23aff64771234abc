import pytest

from recommender.errors import InvalidEvent
from worker.jobs.refresh import parse_line


def test_a_line_that_is_nested_too_deep_is_refused() -> None:
    with pytest.raises(InvalidEvent, match="not JSON"):
        parse_line(b"[" * 100_000)
