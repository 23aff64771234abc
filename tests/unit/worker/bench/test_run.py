"""How the whole is measured."""

import itertools
from collections.abc import Sequence
from threading import Barrier, Lock
from typing import Any, cast

import pytest

from recommender.errors import ImageNotFound
from recommender.events import Upsert
from worker.bench.run import _applied_per_s, _messages
from worker.report import Failure, Report

AT_A_TIME = 3


class Meeting:
    """A pipeline whose calls wait for each other, once one has warmed it up."""

    def __init__(self) -> None:
        self._calls = itertools.count()
        self._lock = Lock()
        self._met = Barrier(AT_A_TIME, timeout=30)
        self.seen: list[str] = []

    def apply(self, events: Sequence[Upsert], *, images: Any) -> Report:
        assert images is None
        with self._lock:
            number = next(self._calls)
            self.seen += [event.id for event in events]
        if 1 <= number <= AT_A_TIME:
            self._met.wait()
        return Report(applied=list(events))


def test_as_many_messages_are_in_hand_as_a_worker_has() -> None:
    meeting = Meeting()
    messages = _messages(["s3://bucket/a.jpg"], 2)
    rate = _applied_per_s(cast("Any", meeting), messages, 0.01, at_a_time=AT_A_TIME, images=None)
    assert rate > 0
    assert len(set(meeting.seen)) == len(meeting.seen)  # products are new, so that every image is embedded


def test_an_image_that_is_not_there_ends_it() -> None:
    class Failing:
        def apply(self, events: Sequence[Upsert], *, images: Any) -> Report:
            del images
            error = ImageNotFound("s3://bucket/a.jpg", "there is none")
            return Report(failed=[Failure(events[0], error, error.uri)])

    messages = _messages(["s3://bucket/a.jpg"], 2)
    with pytest.raises(ImageNotFound):
        _applied_per_s(cast("Any", Failing()), messages, 0.01, at_a_time=AT_A_TIME, images=None)
