"""What a report adds up."""

import pytest

from recommender.errors import ImageNotFound, IndexUnavailable
from worker.plan import Embed
from worker.report import Failure, Report, both, covered_s


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


def _event(identity: str) -> Embed:
    return Embed(id=identity)


def test_of_two_indexes_an_event_is_settled_where_both_settled_it() -> None:
    good, failed, late, unbegun = (_event(name) for name in ("good", "failed", "late", "unbegun"))
    missing = ImageNotFound("s3://b/1.jpg", "404")
    first = Report(applied=[good, failed, late, unbegun], failed=[Failure(failed, missing, "s3://b/1.jpg")])
    first.failed.append(Failure(late, missing, "s3://b/1.jpg"))
    second = Report(
        unchanged=[good], applied=[failed], failed=[Failure(failed, missing, "s3://b/1.jpg")], rest=[unbegun]
    )
    away = IndexUnavailable("away")
    second.again([late], away)

    report = both(first, second)
    assert report.applied == [good, failed]
    assert not report.unchanged  # what it was to the first counts
    assert [(failure.event, failure.image) for failure in report.failed] == [(failed, "s3://b/1.jpg")]
    assert [(retry.event, retry.error) for retry in report.retry] == [(late, away)]
    assert report.rest == [unbegun]


def test_a_failure_in_one_of_two_indexes_is_told() -> None:
    event = _event("a")
    missing = ImageNotFound("s3://b/1.jpg", "404")
    told = Failure(event, missing, "s3://b/1.jpg")
    assert both(Report(applied=[event]), Report(applied=[event], failed=[told])).failed == [told]
    assert both(Report(applied=[event], failed=[told]), Report(unchanged=[event])).failed == [told]
