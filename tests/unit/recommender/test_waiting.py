import logging
from collections.abc import Iterator

import pytest

from recommender.errors import EncoderMismatch, IndexUnavailable, ShuttingDown
from recommender.waiting import MAX_PAUSE_S, wait_for, without_password


def failing_until(answers: Iterator[object]) -> object:
    answer = next(answers)
    if isinstance(answer, BaseException):
        raise answer
    return answer


def test_it_attempts_after_growing_pauses_and_says_what_it_waits_for(
    caplog: pytest.LogCaptureFixture,
) -> None:
    answers = iter([*(IndexUnavailable(f"no {n}") for n in range(12)), "there"])
    pauses: list[float] = []

    def stopped(seconds: float) -> bool:
        pauses.append(seconds)
        return False

    with caplog.at_level(logging.WARNING):
        assert wait_for("index", "http://q:6333", lambda: failing_until(answers), stopped) == "there"
    assert len(pauses) == 12
    assert 0 < pauses[0] <= 0.5
    assert MAX_PAUSE_S / 2 <= pauses[-1] <= MAX_PAUSE_S
    assert pauses[-1] != pauses[-2]
    record = caplog.records[0]
    assert record.message == "waiting_for"
    said = vars(record)
    assert (said["what"], said["where"], said["error"]) == ("index", "http://q:6333", "no 0")
    assert said["pause_s"] == round(pauses[0], 1)


def test_told_to_end_it_ends() -> None:
    with pytest.raises(ShuttingDown, match="index at http://q"):
        wait_for("index", "http://q", lambda: failing_until(iter([IndexUnavailable("no")])), lambda _: True)


def test_what_is_wrong_is_not_waited_for() -> None:
    with pytest.raises(EncoderMismatch):
        wait_for("index", "", lambda: failing_until(iter([EncoderMismatch("no")])), lambda _: False)


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("redis://127.0.0.1:6379/0", "redis://127.0.0.1:6379/0"),
        ("rediss://user:p%40ss@r.example:6380/0?password=x&db=1", "rediss://r.example:6380/0"),
        ("redis://:p@s/s@r:1/0", "redis://r:1/0"),
        ("sentinel://:a@h1:1;sentinel://:b@h2:2/0?x=y", "sentinel://h1:1;sentinel://h2:2/0"),
    ],
)
def test_no_password_is_said(url: str, said: str) -> None:
    assert without_password(url) == said
